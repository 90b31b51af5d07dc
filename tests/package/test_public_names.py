"""What `import penstock` offers."""

import inspect
import pkgutil
import re
import subprocess
import sys
from functools import reduce

import pytest

import penstock


def test_every_public_name_can_be_had():
    for name in penstock.__all__:
        assert getattr(penstock, name) is not None


def test_the_list_of_public_names_is_the_table_of_their_places():
    assert sorted({*penstock._PLACE_OF, "__version__"}) == sorted(penstock.__all__)


PUBLIC_CLASSES = [name for name in penstock.__all__ if inspect.isclass(getattr(penstock, name))]


@pytest.mark.parametrize("name", PUBLIC_CLASSES)
def test_what_a_docstring_names_is_there(name):
    owner = getattr(penstock, name)
    members = [getattr(owner, member) for member in dir(owner) if not member.startswith("_")]
    for documented in (owner, *members):
        for word in re.findall(r"(?<!`)`([A-Za-z_][\w.]*)`(?!`)", inspect.getdoc(documented) or ""):
            assert is_there(word, owner), f"{documented} speaks of {word}"


def is_there(word, owner):
    """Whether a name leads somewhere: from the class, from penstock, from its clients, or as a module's."""
    for place in (owner, penstock, penstock.Client):
        try:
            reduce(getattr, word.split("."), place)
        except AttributeError:
            continue
        return True
    place, _, attribute = word.rpartition(".")
    if hasattr(penstock, place):  # what an instance has
        return f"    {attribute}:" in inspect.getdoc(getattr(penstock, place))
    return bool(place) and pkgutil.resolve_name(word) is not None


def test_importing_the_package_imports_nothing_of_the_client():
    seen = "import sys, penstock; print([m for m in sys.modules if m.startswith('penstock.')])"
    ran = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "['penstock.version']"


def test_a_name_that_is_not_there_is_an_attribute_error():
    assert not hasattr(penstock, "Cleint")
