from __future__ import annotations

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from store_box import Box, bucket_named

from penstock.server.store import Attributes, LocalStore

KEYS = st.text(alphabet=st.sampled_from("ab/é\U0001f600"), min_size=1, max_size=6) | st.text(
    min_size=1, max_size=5
)
AFFIXES = st.just("") | st.text(alphabet=st.sampled_from("ab/é\U0001f600"), max_size=3)
DELIMITERS = st.sampled_from(["", "/", "a", "é", "ab", "/a"])
QUICK = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)


def expected_page(
    entries: list[tuple[str, str]], prefix: str, delimiter: str, marker: tuple[str, str], limit: int
) -> tuple[list[tuple[str, str]], list[str], bool]:
    """What a page should be, by looking at everything: entries are (key, upload id)."""
    shown: list[tuple[str, str]] = []
    groups: list[str] = []
    for key, upload_id in sorted(entries, key=lambda entry: (entry[0].encode(), entry[1])):
        if not key.startswith(prefix):
            continue
        rest = key[len(prefix) :]
        if delimiter and delimiter in rest:
            group = prefix + rest[: rest.index(delimiter) + len(delimiter)]
            if group in groups or group.encode() <= marker[0].encode():
                continue
            if len(shown) + len(groups) == limit:
                return shown, groups, limit > 0
            groups.append(group)
            continue
        if (key.encode(), upload_id) <= (marker[0].encode(), marker[1]):
            continue
        if len(shown) + len(groups) == limit:
            return shown, groups, limit > 0
        shown.append((key, upload_id))
    return shown, groups, False


def fresh_bucket(store: LocalStore) -> str:
    name = f"box{len(store.list_buckets(limit=1000).buckets)}"
    for bucket in store.list_buckets(limit=1000).buckets:
        store.delete_objects(bucket.name, [(found.key, None) for found in everything(store, bucket.name)])
        for upload in store.list_uploads(bucket.name).uploads:
            store.abort_upload(bucket.name, upload.key, upload.upload_id)
        store.delete_bucket(bucket.name)
    store.create_bucket(bucket_named(name))
    return name


def everything(store: LocalStore, bucket: str) -> list:
    return list(store.list_objects(bucket, limit=1000).objects)


@QUICK
@given(st.sets(KEYS, max_size=15), AFFIXES, DELIMITERS, AFFIXES | KEYS, st.integers(0, 8))
@example({"a/b", "a/c", "a0"}, "", "/", "a/b", 5)
@example({"a/b", "a/c", "a0"}, "", "/", "a/", 5)
@example({"a/b", "b"}, "a", "/", "", 1)
def test_a_page_is_what_looking_at_every_key_would_give(
    store: LocalStore, keys: set[str], prefix: str, delimiter: str, marker: str, limit: int
) -> None:
    bucket = fresh_bucket(store)
    for key in keys:
        with store.stage() as staged:
            store.put_object(bucket, key, staged, Attributes())
    page = store.list_objects(bucket, prefix=prefix, delimiter=delimiter, start_after=marker, limit=limit)
    entries = [(key, "") for key in keys]
    shown, groups, more = expected_page(entries, prefix, delimiter, (marker, ""), limit)
    assert [(found.key, "") for found in page.objects] == shown
    assert list(page.common_prefixes) == groups
    assert (page.next_marker is not None) == more
    if more:
        assert page.next_marker == max([key for key, _ in shown] + groups, key=str.encode)


@QUICK
@given(st.sets(KEYS, max_size=15), AFFIXES, DELIMITERS, st.integers(1, 4))
def test_pages_put_together_are_the_whole_list(
    store: LocalStore, keys: set[str], prefix: str, delimiter: str, limit: int
) -> None:
    bucket = fresh_bucket(store)
    for key in keys:
        with store.stage() as staged:
            store.put_object(bucket, key, staged, Attributes())
    whole = store.list_objects(bucket, prefix=prefix, delimiter=delimiter, limit=1000)
    objects, groups, marker = [], [], ""
    for _ in range(len(keys) + 1):
        page = store.list_objects(bucket, prefix=prefix, delimiter=delimiter, start_after=marker, limit=limit)
        objects += page.objects
        groups += page.common_prefixes
        if page.next_marker is None:
            break
        marker = page.next_marker
    assert (tuple(objects), tuple(groups)) == (whole.objects, whole.common_prefixes)


@QUICK
@given(
    st.lists(KEYS, max_size=10),
    AFFIXES,
    DELIMITERS,
    AFFIXES | KEYS,
    st.booleans(),
    st.integers(0, 6),
    st.data(),
)
def test_a_page_of_uploads_is_what_looking_at_every_upload_would_give(
    store: LocalStore,
    keys: list[str],
    prefix: str,
    delimiter: str,
    marker: str,
    by_id: bool,
    limit: int,
    data: st.DataObject,
) -> None:
    bucket = fresh_bucket(store)
    made = [(key, store.create_upload(bucket, key, Attributes()).upload_id) for key in keys]
    id_marker = ""
    if by_id and made:
        marker, id_marker = data.draw(st.sampled_from(made))
    page = store.list_uploads(
        bucket,
        prefix=prefix,
        delimiter=delimiter,
        key_marker=marker,
        upload_id_marker=id_marker,
        limit=limit,
    )
    shown, groups, more = expected_page(made, prefix, delimiter, (marker, id_marker or "G"), limit)
    assert [(upload.key, upload.upload_id) for upload in page.uploads] == shown
    assert list(page.common_prefixes) == groups
    assert (page.next_key_marker is not None) == more
    if more and page.next_upload_id_marker:
        assert (page.next_key_marker, page.next_upload_id_marker) == shown[-1]


def test_a_listing_seeks_past_what_is_rolled_up(box: Box) -> None:
    box.store.create_bucket(bucket_named("wide"))
    keys = [f"dir{number}/{leaf:04}" for number in range(3) for leaf in range(2_000)]

    def fill(connection) -> None:
        connection.executemany(
            "INSERT INTO object (bucket, key, vseq, latest, kind, size, etag, crc64, modified_ms, attributes,"
            " inline) SELECT id, ?, 0, 1, 'Normal', 0, '', '0', 0, '{}', x'' FROM bucket WHERE name = 'wide'",
            [(key.encode(),) for key in keys],
        )

    box.store._writer.run("filling", fill)
    steps = count_steps(box.store, lambda: box.store.list_objects("wide", delimiter="/"))
    assert steps < 2_000
    page = box.store.list_objects("wide", delimiter="/")
    assert page.common_prefixes == ("dir0/", "dir1/", "dir2/")


def count_steps(store: LocalStore, call) -> int:
    """How many instructions SQLite needed, in tens."""
    steps = 0

    def tick() -> bool:
        nonlocal steps
        steps += 10
        return False

    store.list_buckets()
    (connection,) = store._readers._idle
    connection.set_progress_handler(tick, 10)
    try:
        call()
    finally:
        connection.set_progress_handler(None)
    return steps
