"""What `import penstock` offers."""

import subprocess
import sys

import penstock


def test_every_public_name_can_be_had():
    for name in penstock.__all__:
        assert getattr(penstock, name) is not None


def test_the_list_of_public_names_is_the_table_of_their_places():
    assert sorted({*penstock._PLACE_OF, "__version__"}) == sorted(penstock.__all__)


def test_importing_the_package_imports_nothing_of_the_client():
    seen = "import sys, penstock; print([m for m in sys.modules if m.startswith('penstock.')])"
    ran = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "['penstock.version']"


def test_a_name_that_is_not_there_is_an_attribute_error():
    assert not hasattr(penstock, "Cleint")
