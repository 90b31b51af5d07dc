"""Versions that are retained or held one by one cannot be removed, whoever asks."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from server_desk import NOW, Answer, Credentials, Desk

from penstock.protocol import dates
from penstock.server.lifecycle import run_lifecycle

DAY_S = 86_400
OTHER = Credentials("other", "other-account-secret")


def configuration(rule: str = "", enabled: str = "Enabled") -> bytes:
    inside = f"<Rule><DefaultRetention>{rule}</DefaultRetention></Rule>" if rule else ""
    return (
        f"<ObjectWormConfiguration><ObjectWormEnabled>{enabled}</ObjectWormEnabled>{inside}"
        "</ObjectWormConfiguration>"
    ).encode()


def versioned(desk: Desk, rule: str = "") -> Desk:
    on = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert desk("PUT", "/photos/?versioning", on).status == 200
    assert desk("PUT", "/photos/?objectWorm", configuration(rule)).status == 200
    return desk


def retain(desk: Desk, target: str, mode: str, seconds: int, **headers: str) -> Answer:
    until = dates.to_iso(int(desk.clock[0]) + seconds)
    body = f"<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>"
    return desk("PUT", target, body.encode(), **headers)


def put(desk: Desk, **headers: str) -> str:
    answer = desk("PUT", "/photos/a", b"x", **headers)
    assert answer.status == 200
    return f"/photos/a?versionId={answer.headers['x-oss-version-id']}"


def hold(status: str) -> bytes:
    return f"<LegalHold><Status>{status}</Status></LegalHold>".encode()


BYPASS = {"x-oss-bypass-governance-retention": "true"}


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_a_retained_version_stays_until_its_time_is_over(bucket: Desk, mode: str) -> None:
    version = put(versioned(bucket))
    assert retain(bucket, "/photos/a?retention", mode, 60).status == 200
    shown = bucket("GET", "/photos/a?retention")
    assert (shown.element("Mode"), shown.element("RetainUntilDate")) == (mode, dates.to_iso(NOW + 60))
    head = bucket("HEAD", "/photos/a").headers
    assert head["x-oss-object-worm-mode"] == mode
    assert head["x-oss-object-worm-retain-until-date"] == dates.to_iso(NOW + 60)
    refused = bucket("DELETE", version)
    assert (refused.status, refused.code) == (409, "FileImmutable")
    batch = (
        f"<Delete><Object><Key>a</Key><VersionId>{version.partition('=')[2]}</VersionId></Object></Delete>"
    )
    digest = base64.b64encode(hashlib.md5(batch.encode()).digest()).decode()
    assert bucket("POST", "/photos/?delete", batch.encode(), content_md5=digest).code == "FileImmutable"
    assert bucket("DELETE", "/photos/a").headers["x-oss-delete-marker"] == "true"
    assert bucket("GET", version).body == b"x"
    bucket.clock[0] += 61
    assert bucket("DELETE", version).status == 204


def test_only_governance_can_be_passed_over(bucket: Desk) -> None:
    version = put(versioned(bucket))
    retain(bucket, "/photos/a?retention", "GOVERNANCE", 600)
    assert retain(bucket, "/photos/a?retention", "GOVERNANCE", 60).code == "FileImmutable"
    assert retain(bucket, "/photos/a?retention", "GOVERNANCE", 60, **BYPASS).status == 200
    assert retain(bucket, "/photos/a?retention", "COMPLIANCE", 600).status == 200
    assert retain(bucket, "/photos/a?retention", "GOVERNANCE", 900, **BYPASS).code == "FileImmutable"
    assert retain(bucket, "/photos/a?retention", "COMPLIANCE", 60, **BYPASS).code == "FileImmutable"
    assert retain(bucket, "/photos/a?retention", "COMPLIANCE", 900).status == 200
    assert bucket("DELETE", version, **BYPASS).code == "FileImmutable"
    other = put(bucket)
    retain(bucket, "/photos/a?retention", "GOVERNANCE", 600)
    assert bucket("DELETE", other, **BYPASS).status == 204


def test_who_may_delete_may_not_pass_over_a_retention_by_that(bucket: Desk) -> None:
    version = put(versioned(bucket))
    retain(bucket, "/photos/a?retention", "GOVERNANCE", 600)
    statement = {
        "Effect": "Allow",
        "Principal": ["2000000000000002"],
        "Action": ["oss:DeleteObjectVersion"],
        "Resource": ["acs:oss:*:*:photos/*"],
    }
    for action, status in (("oss:DeleteObjectVersion", 403), ("oss:*", 204)):
        text = json.dumps({"Version": "1", "Statement": [{**statement, "Action": [action]}]})
        assert bucket("PUT", "/photos/?policy", text.encode()).status == 200
        assert bucket("DELETE", version, keys=OTHER, **BYPASS).status == status


def test_a_held_version_stays_until_it_is_let_go(bucket: Desk) -> None:
    version = put(versioned(bucket))
    assert bucket("GET", "/photos/a?legalHold").code == "NoSuchWORMConfiguration"
    assert bucket("PUT", "/photos/a?legalHold", hold("ON")).status == 200
    assert bucket("GET", "/photos/a?legalHold").element("Status") == "ON"
    assert bucket("DELETE", version, **BYPASS).code == "FileImmutable"
    assert bucket("PUT", "/photos/a?legalHold", hold("OFF")).status == 200
    assert bucket("DELETE", version).status == 204


@pytest.mark.parametrize(
    ("rule", "seconds"),
    [
        ("<Mode>COMPLIANCE</Mode><Days>1</Days>", DAY_S),
        ("<Mode>GOVERNANCE</Mode><Years>1</Years>", 365 * DAY_S),
    ],
)
def test_new_objects_are_retained_as_the_bucket_says(bucket: Desk, rule: str, seconds: int) -> None:
    version = put(versioned(bucket, rule))
    assert bucket("GET", "/photos/a?retention").element("RetainUntilDate") == dates.to_iso(NOW + seconds)
    assert bucket("DELETE", version).code == "FileImmutable"
    copied = bucket("PUT", "/photos/b", **{"x-oss-copy-source": "/photos/a"})
    assert bucket("DELETE", f"/photos/b?versionId={copied.headers['x-oss-version-id']}").status == 409


def test_an_object_says_itself_how_it_is_retained(bucket: Desk) -> None:
    headers = {
        "x-oss-object-worm-mode": "COMPLIANCE",
        "x-oss-object-worm-retain-until-date": dates.to_iso(NOW + 60),
        "x-oss-object-worm-legal-hold": "ON",
    }
    assert bucket("PUT", "/photos/a", b"x", **headers).code == "InvalidWORMConfiguration"
    assert bucket("GET", "/photos/a").status == 404
    version = put(versioned(bucket), **headers)
    assert bucket("HEAD", "/photos/a").headers.items() >= headers.items()
    bucket.clock[0] += 61
    assert bucket("DELETE", version).code == "FileImmutable"
    past = {**headers, "x-oss-object-worm-retain-until-date": dates.to_iso(NOW)}
    assert bucket("PUT", "/photos/b", b"x", **past).code == "InvalidArgument"


def test_age_alone_removes_no_version(bucket: Desk) -> None:
    put(versioned(bucket, "<Mode>COMPLIANCE</Mode><Days>9</Days>"))
    put(bucket)
    rule = (
        b"<LifecycleConfiguration><Rule><ID>r</ID><Prefix></Prefix><Status>Enabled</Status>"
        b"<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>"
        b"</Rule></LifecycleConfiguration>"
    )
    assert bucket("PUT", "/photos/?lifecycle", rule).status == 200
    bucket.clock[0] += 5 * DAY_S
    assert run_lifecycle(bucket.service, "photos").expired == 0
    assert bucket("GET", "/photos/?versions").body.count(b"<Version>") == 2


def test_a_bucket_has_one_kind_of_retention_and_keeps_its_versions(bucket: Desk) -> None:
    assert bucket("GET", "/photos/?objectWorm").code == "NoSuchWORMConfiguration"
    assert bucket("PUT", "/photos/?objectWorm", configuration()).code == "InvalidWORMConfiguration"
    put(versioned(bucket))
    assert bucket("GET", "/photos/?objectWorm").element("ObjectWormEnabled") == "Enabled"
    off = b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"
    assert bucket("PUT", "/photos/?versioning", off).code == "InvalidWORMConfiguration"
    days = "<RetentionPeriodInDays>1</RetentionPeriodInDays>"
    policy = f"<InitiateWormConfiguration>{days}</InitiateWormConfiguration>".encode()
    assert bucket("POST", "/photos/?worm", policy).code == "InvalidWORMConfiguration"
    assert bucket("PUT", "/photos/?objectWorm", configuration(enabled="Disabled")).code == "MalformedXML"
    for rule in ("<Mode>X</Mode><Days>1</Days>", "<Mode>GOVERNANCE</Mode>", "<Days>1</Days>"):
        assert bucket("PUT", "/photos/?objectWorm", configuration(rule)).code == "MalformedXML"
    none = bucket("PUT", "/photos/?objectWorm", configuration("<Mode>GOVERNANCE</Mode><Days>0</Days>"))
    assert none.code == "InvalidWORMConfiguration"


def test_where_objects_are_not_retained_it_is_said(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"x")
    assert retain(bucket, "/photos/a?retention", "COMPLIANCE", 60).code == "InvalidWORMConfiguration"
    assert bucket("GET", "/photos/a?retention").code == "InvalidWORMConfiguration"
    assert bucket("PUT", "/photos/a?legalHold", hold("ON")).code == "InvalidWORMConfiguration"
    versioned(bucket)
    assert retain(bucket, "/photos/a?retention", "FOREVER", 60).code == "MalformedXML"
    assert bucket("PUT", "/photos/a?legalHold", hold("MAYBE")).code == "MalformedXML"
    assert retain(bucket, "/photos/none?retention", "COMPLIANCE", 60).code == "NoSuchKey"


@pytest.mark.parametrize("time", ["<Days>999999999999</Days>", "<Years>101</Years>", "<Days>0</Days>"])
def test_a_default_retention_ends_at_a_moment_that_a_date_can_say(bucket: Desk, time: str) -> None:
    versioned(bucket)
    rule = f"<Mode>COMPLIANCE</Mode>{time}"
    refused = bucket("PUT", "/photos/?objectWorm", configuration(rule))
    assert (refused.status, refused.code) == (400, "InvalidWORMConfiguration")
    longest = configuration("<Mode>COMPLIANCE</Mode><Years>100</Years>")
    assert bucket("PUT", "/photos/?objectWorm", longest).status == 200
    assert bucket("PUT", "/photos/a", b"x").status == 200
    assert bucket("HEAD", "/photos/a").status == 200
