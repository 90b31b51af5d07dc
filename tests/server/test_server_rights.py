"""What users may do where a call is about more than the key in its head: links, tags, many keys."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from server_desk import NOW, OTHERS, REGION, USERS, Answer, Credentials, Desk

from penstock.server.app import App
from penstock.server.call import Service
from penstock.server.guard.accounts import User
from penstock.server.guard.gate import Gate
from penstock.server.guard.policy import Policy, read_policy
from penstock.server.store import LocalStore

ALICE = Credentials("alice", "alice-secret")
OTHER = Credentials("other", "other-account-secret")
SECRET = b"nobody's business"


def allowing(*statements: tuple[str, str]) -> Policy:
    listed = [
        {"Effect": "Allow", "Action": action, "Resource": f"acs:oss:*:*:{resource}"}
        for action, resource in statements
    ]
    text = json.dumps({"Version": "1", "Statement": listed})
    return read_policy(text.encode(), names_principals=False)


@pytest.fixture
def bucket(store: LocalStore) -> Desk:
    """A bucket called ``photos``, of which Alice has what is under ``pub/``, but no tags."""
    clock = [float(NOW)]
    service = Service(store=store, region=REGION, clock=lambda: clock[0])
    hers = allowing(
        *((f"oss:{action}", "photos/pub/*") for action in ("GetObject", "PutObject", "DeleteObject"))
    )
    users = USERS | OTHERS | {"alice": User("alice-secret", name="alice", policy=hers)}
    desk = Desk(App(service, Gate(users, REGION)), service, clock)
    assert desk("PUT", "/photos/").status == 200
    return desk


def link(desk: Desk, key: str, target: str, **headers: Any) -> Answer:
    return desk("PUT", f"/photos/{key}?symlink", **{"x-oss-symlink-target": target}, **headers)


def told(answer: Answer) -> tuple[int, str]:
    """Status and code, also of an answer to HEAD."""
    shown = base64.b64decode(answer.headers.get("x-oss-err", "")) or answer.body
    return answer.status, Answer(answer.status, answer.headers, shown).code


# -- links


@pytest.mark.parametrize("target", ["/photos/open", "/photos/open?versionId=null"])
def test_a_link_shows_nobody_what_its_target_hides(bucket: Desk, target: str) -> None:
    bucket("PUT", "/photos/?acl", **{"x-oss-acl": "public-read"})
    bucket("PUT", "/photos/secret", SECRET, **{"x-oss-object-acl": "private"})
    assert link(bucket, "open", "secret").status == 200
    for keys in (None, OTHER):
        assert told(bucket("GET", target, keys=keys)) == (403, "AccessDenied")
        assert told(bucket("HEAD", target, keys=keys)) == (403, "AccessDenied")
    assert bucket("HEAD", "/photos/open?objectMeta", keys=None).status == 403
    assert bucket("GET", "/photos/open?symlink", keys=None).headers["x-oss-symlink-target"] == "secret"
    assert bucket("GET", "/photos/open").body == SECRET
    bucket("PUT", "/photos/secret?acl", **{"x-oss-object-acl": "public-read"})
    assert bucket("GET", target, keys=None).body == SECRET


def test_a_link_that_is_private_hides_what_everybody_may_read(bucket: Desk) -> None:
    bucket("PUT", "/photos/shown", b"x", **{"x-oss-object-acl": "public-read"})
    assert link(bucket, "hidden", "shown", **{"x-oss-object-acl": "private"}).status == 200
    assert bucket("GET", "/photos/hidden", keys=None).status == 403


def test_a_user_reaches_nothing_by_links_that_the_policy_withholds(bucket: Desk) -> None:
    bucket("PUT", "/photos/priv/a", SECRET)
    bucket("PUT", "/photos/pub/a", b"shown")
    assert link(bucket, "pub/out", "priv/a", keys=ALICE).status == 200
    assert link(bucket, "pub/in", "pub/a", keys=ALICE).status == 200
    assert told(bucket("GET", "/photos/pub/out", keys=ALICE)) == (403, "AccessDenied")
    assert bucket("HEAD", "/photos/pub/out", keys=ALICE).status == 403
    assert bucket("GET", "/photos/pub/in", keys=ALICE).body == b"shown"


def test_a_link_does_not_tell_whether_a_hidden_key_exists(bucket: Desk) -> None:
    for key in ("priv/none", "pub/none"):
        link(bucket, f"pub/to-{key[:3]}", key)
    assert told(bucket("GET", "/photos/pub/to-pri", keys=ALICE)) == (403, "AccessDenied")
    assert told(bucket("HEAD", "/photos/pub/to-pri", keys=ALICE)) == (403, "AccessDenied")
    assert told(bucket("GET", "/photos/pub/to-pub", keys=ALICE)) == (404, "SymlinkTargetNotExist")
    assert told(bucket("HEAD", "/photos/pub/to-pub", keys=ALICE)) == (404, "SymlinkTargetNotExist")


def test_what_takes_an_objects_place_while_it_is_asked_for_is_judged_too(
    bucket: Desk, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket("PUT", "/photos/?acl", **{"x-oss-acl": "public-read"})
    head_object = store.head_object

    def look_then_hide(name: str, key: str, version_id: str | None = None) -> Any:
        if name != "photos":
            return head_object(name, key, version_id)
        monkeypatch.setattr(store, "head_object", head_object)
        try:
            return head_object(name, key, version_id)
        finally:
            bucket("PUT", "/photos/a", SECRET, **{"x-oss-object-acl": "private"})

    bucket("PUT", "/theirs/", keys=OTHER)
    upload = bucket("POST", "/theirs/a?uploads", keys=OTHER).element("UploadId")
    copied = {"keys": OTHER, "x-oss-copy-source": "/photos/a"}
    for method, target, named in (
        ("GET", "/photos/a", {"keys": None}),
        ("HEAD", "/photos/a", {"keys": None}),
        ("PUT", "/theirs/a", copied),
        ("PUT", f"/theirs/a?partNumber=1&uploadId={upload}", copied),
    ):
        bucket("PUT", "/photos/a", b"shown")
        monkeypatch.setattr(store, "head_object", look_then_hide)
        assert bucket(method, target, **named).status == 403


# -- parts of links


def part_of(desk: Desk, source: str, **named: Any) -> Answer:
    upload = desk("POST", "/photos/pub/made?uploads").element("UploadId")
    target = f"/photos/pub/made?uploadId={upload}"
    copied = desk("PUT", f"{target}&partNumber=1", **{"x-oss-copy-source": source}, **named)
    if copied.status != 200:
        return copied
    listed = desk("GET", target)
    assert desk("POST", target, **{"x-oss-complete-all": "yes"}).status == 200
    return listed


def test_a_part_that_is_copied_from_a_link_has_the_bytes_of_its_target(bucket: Desk) -> None:
    bucket("PUT", "/photos/pub/a", b"0123456789")
    link(bucket, "pub/link", "pub/a")
    assert part_of(bucket, "/photos/pub/link").element("Size") == "10"
    assert bucket("GET", "/photos/pub/made").body == b"0123456789"
    part_of(bucket, "/photos/pub/link", keys=ALICE, **{"x-oss-copy-source-range": "bytes=2-4"})
    assert bucket("GET", "/photos/pub/made").body == b"234"


def test_a_part_is_copied_from_no_link_whose_target_may_not_be_read(bucket: Desk) -> None:
    bucket("PUT", "/photos/priv/a", SECRET)
    link(bucket, "pub/out", "priv/a")
    link(bucket, "pub/again", "pub/out")
    link(bucket, "pub/nowhere", "pub/none")
    assert part_of(bucket, "/photos/pub/out", keys=ALICE).code == "AccessDenied"
    assert part_of(bucket, "/photos/pub/again").code == "InvalidTargetType"
    assert part_of(bucket, "/photos/pub/nowhere").code == "SymlinkTargetNotExist"


# -- many keys


def delete(desk: Desk, *keys: str, **named: Any) -> Answer:
    listed = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
    body = f"<Delete>{listed}</Delete>".encode()
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    return desk("POST", "/photos/?delete", body, **{"content-md5": md5}, **named)


def test_many_objects_are_deleted_by_the_rights_to_each(bucket: Desk) -> None:
    keys = ("pub/a", "pub/b", "priv/a")
    for key in keys:
        bucket("PUT", f"/photos/{key}", b"x")
    assert told(delete(bucket, "pub/a", "priv/a", keys=ALICE)) == (403, "AccessDenied")
    assert bucket("HEAD", "/photos/pub/a").status == 200
    assert delete(bucket, "pub/a", "pub/b", keys=ALICE).status == 200
    assert [bucket("HEAD", f"/photos/{key}").status for key in keys] == [404, 404, 200]


def test_strangers_delete_many_objects_only_where_they_may_delete_one(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"x")
    for keys in (None, OTHER):
        assert told(delete(bucket, "a", keys=keys)) == (403, "AccessDenied")
    bucket("PUT", "/photos/?acl", **{"x-oss-acl": "public-read-write"})
    assert delete(bucket, "a", keys=None).status == 200
    assert bucket("HEAD", "/photos/a").status == 404


# -- tags


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("PUT", "/photos/pub/new", {}),
        ("PUT", "/photos/pub/new", {"x-oss-copy-source": "/photos/pub/a"}),
        ("PUT", "/photos/pub/new?symlink", {"x-oss-symlink-target": "pub/a"}),
        ("POST", "/photos/pub/new?append&position=0", {}),
        ("POST", "/photos/pub/new?uploads", {}),
    ],
)
def test_tags_are_given_with_an_object_by_those_only_who_may_put_tags(
    bucket: Desk, method: str, target: str, headers: dict[str, str]
) -> None:
    bucket("PUT", "/photos/pub/a", b"x")
    tagged = {**headers, "x-oss-tagging": "a=b"}
    assert told(bucket(method, target, keys=ALICE, **tagged)) == (403, "AccessDenied")
    assert bucket("HEAD", "/photos/pub/new").status == 404
    assert bucket(method, target, keys=ALICE, **headers).status == 200
    bucket("DELETE", "/photos/pub/new")
    assert bucket(method, target, **tagged).status == 200


def test_whoever_may_write_by_an_access_list_alone_gives_no_tags(bucket: Desk) -> None:
    bucket("PUT", "/photos/?acl", **{"x-oss-acl": "public-read-write"})
    tagged = {"x-oss-tagging": "a=b"}
    assert told(bucket("PUT", "/photos/a", b"x", keys=None, **tagged)) == (403, "AccessDenied")
    assert bucket("PUT", "/photos/a", b"x", keys=None).status == 200
