from __future__ import annotations

from pathlib import Path

import apsw
import pytest
from store_box import Box, bucket_named

from penstock.errors import StoreError
from penstock.server.store import LocalStore, faults, schema

OLDER = {
    version: Path(__file__).with_name(f"metadata_version_{version}.sql").read_text()
    for version in range(1, schema.VERSION)
}
every_older_version = pytest.mark.parametrize("version", OLDER)

ROWS = """
INSERT INTO bucket VALUES (1, 'box', 'owner', 'oss-local', 'private', 'Standard', 'LRS', 5, 'Enabled', '{}');
INSERT INTO bucket_config VALUES (1, 'policy', CAST('as it was' AS BLOB));
INSERT INTO object (id, bucket, key, vseq, latest, kind, size, etag, crc64, modified_ms, attributes, inline)
    VALUES (1, 1, CAST('key' AS BLOB), 0, 1, 'Normal', 3, '8F00B204', '0', 7, '{}', CAST('old' AS BLOB));
"""


def write_metadata(directory: Path, script: str) -> None:
    directory.mkdir()
    connection = apsw.Connection(str(directory / "metadata.sqlite3"))
    connection.pragma("journal_mode", "wal")
    connection.execute(script)
    connection.close()


def shape_of(directory: Path) -> list[tuple[object, ...]]:
    """Tables, columns, indexes and triggers, however they came to be."""
    connection = apsw.Connection(str(directory / "metadata.sqlite3"))
    shape = connection.execute(
        "SELECT m.type, m.name, c.name, c.type, c.'notnull', c.dflt_value, c.pk, NULL"
        " FROM sqlite_schema AS m JOIN pragma_table_xinfo(m.name) AS c WHERE m.type = 'table'"
        " UNION ALL SELECT m.type, m.name, i.name, i.desc, i.coll, i.key, NULL, m.sql"
        " FROM sqlite_schema AS m JOIN pragma_index_xinfo(m.name) AS i WHERE m.type = 'index'"
        " UNION ALL SELECT type, name, NULL, NULL, NULL, NULL, NULL, sql"
        " FROM sqlite_schema WHERE type = 'trigger' ORDER BY 1, 2, 3"
    ).fetchall()
    version = connection.pragma("user_version")
    connection.close()
    return [*shape, (version,)]


@every_older_version
def test_older_metadata_becomes_what_a_new_store_has(tmp_path: Path, version: int) -> None:
    write_metadata(tmp_path / "old", OLDER[version])
    for name in ("old", "new"):
        LocalStore.open(tmp_path / name, "none").close()
    assert shape_of(tmp_path / "old") == shape_of(tmp_path / "new")
    assert shape_of(tmp_path / "new")[-1] == (schema.VERSION,)


@every_older_version
def test_what_older_metadata_holds_is_kept(tmp_path: Path, version: int) -> None:
    write_metadata(tmp_path / "old", OLDER[version] + ROWS)
    for _ in range(2):
        with LocalStore.open(tmp_path / "old", "none") as store:
            box = Box(store)
            assert box.read("key", "null") == b"old"
            assert store.get_config(box.name, "policy") == b"as it was"
    with LocalStore.open(tmp_path / "old", "none") as store:
        box = Box(store)
        box.put("key", b"new")
        assert [one.latest for one in box.versions()] == [True, False]


def test_an_upgrade_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_metadata(tmp_path / "old", OLDER[1] + ROWS)
    before = shape_of(tmp_path / "old")
    with monkeypatch.context() as patched:
        patched.setitem(schema._UPGRADES, 1, schema._UPGRADES[1] + "CREATE TABLE object (again);")
        with pytest.raises(StoreError, match="already exists"):
            LocalStore.open(tmp_path / "old", "none")
    assert shape_of(tmp_path / "old") == before
    with LocalStore.open(tmp_path / "old", "none") as store:
        assert Box(store).read("key") == b"old"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (f"PRAGMA user_version = {schema.VERSION + 1}", "reads up to version"),
        ("PRAGMA user_version = 1", "not written by this program"),
        ("CREATE TABLE diary (entry)", "not written by this program"),
    ],
)
def test_metadata_that_is_newer_or_of_something_else_is_refused_and_left_alone(
    tmp_path: Path, script: str, words: str
) -> None:
    write_metadata(tmp_path / "other", script)
    before = shape_of(tmp_path / "other")
    with pytest.raises(StoreError, match=words):
        LocalStore.open(tmp_path / "other", "none")
    assert shape_of(tmp_path / "other") == before


def test_every_older_version_can_be_brought_up_to_this_one() -> None:
    assert sorted(schema._UPGRADES) == list(range(1, schema.VERSION))


@every_older_version
def test_older_metadata_is_left_alone_by_whoever_only_joins(tmp_path: Path, version: int) -> None:
    write_metadata(tmp_path / "old", OLDER[version])
    before = shape_of(tmp_path / "old")
    with pytest.raises(StoreError, match=f"of version {version}"):
        LocalStore.join(tmp_path / "old", "none")
    assert shape_of(tmp_path / "old") == before


def test_each_change_of_a_configuration_counts(tmp_path: Path) -> None:
    with LocalStore.open(tmp_path / "data", "none") as store:
        store.create_bucket(bucket_named("box"))
        revisions = [store.head_bucket("box").revision]
        for change in (
            lambda: store.put_config("box", "cors", b"one"),
            lambda: store.put_config("box", "cors", b"two"),
            lambda: store.put_config("box", "policy", b"one"),
            lambda: store.delete_config("box", "cors"),
        ):
            change()
            revisions.append(store.head_bucket("box").revision)
        assert revisions == [0, 1, 2, 3, 4]
        assert not store.delete_config("box", "cors")
        assert store.update_bucket("box", lambda old: old).revision == 4


def test_what_an_account_decides_counts_for_each_of_its_buckets(tmp_path: Path) -> None:
    with LocalStore.open(tmp_path / "data", "none") as store:
        for name, owner in (("first", "owner"), ("second", "owner"), ("third", "other")):
            store.create_bucket(bucket_named(name, owner))
        with pytest.raises(faults.AccountConfigMissing):
            store.get_account_config("owner", "block")
        store.put_account_config("owner", "block", b"one")
        store.put_account_config("owner", "block", b"two")
        assert store.get_account_config("owner", "block") == b"two"
        assert [store.head_bucket(name).revision for name in ("first", "second", "third")] == [2, 2, 0]
        assert store.delete_account_config("owner", "block")
        assert not store.delete_account_config("owner", "block")
        assert [store.head_bucket(name).revision for name in ("first", "second", "third")] == [3, 3, 0]


def test_a_store_can_be_opened_after_a_refusal(tmp_path: Path) -> None:
    write_metadata(tmp_path / "data", "PRAGMA user_version = 99")
    with pytest.raises(StoreError):
        LocalStore.open(tmp_path / "data", "none")
    (tmp_path / "data" / "metadata.sqlite3").unlink()
    with LocalStore.open(tmp_path / "data", "none") as store:
        store.create_bucket(bucket_named("box"))


def open_to_others(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]


def test_what_a_store_keeps_is_for_its_owner_only(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    with LocalStore.open(tmp_path / "data", "strict") as store:
        store.create_bucket(bucket_named("box"))
        box = Box(store)
        box.put("small", b"in the metadata")
        box.put("large", bytes(100_000))
        assert (tmp_path / "data" / "metadata.sqlite3-wal").exists()
        assert open_to_others(tmp_path / "data") == []
    assert open_to_others(tmp_path / "data") == []


@pytest.mark.parametrize("shared", [True, False])
def test_metadata_that_others_could_read_are_mended_when_they_are_opened(
    tmp_path: Path, shared: bool
) -> None:
    with LocalStore.open(tmp_path / "data", "strict"):
        files = [tmp_path / "data" / f"metadata.sqlite3{suffix}" for suffix in ("", "-wal", "-shm")]
        for path in files:
            path.chmod(0o644)
        if shared:
            with LocalStore.join(tmp_path / "data", "strict"):
                assert open_to_others(tmp_path / "data") == []
            return
    files[0].chmod(0o644)
    with LocalStore.open(tmp_path / "data", "strict"):
        assert open_to_others(tmp_path / "data") == []
