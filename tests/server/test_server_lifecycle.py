"""Lifecycle rules: what they ask for at a moment, and what becomes of objects, versions and uploads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest
from server_desk import NOW, Desk

from penstock.protocol import dates, xml
from penstock.protocol.operations.retention import Lifecycle
from penstock.server import lifecycle
from penstock.server.lifecycle import LifecycleReport, Schedule, run_lifecycle, steps_of
from penstock.server.store import LocalStore
from penstock.server.store.records import Attributes, ObjectRecord

DAY_S = 86_400
ON = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"


def rules(*insides: str) -> bytes:
    listed = "".join(f"<Rule><Status>Enabled</Status>{inside}</Rule>" for inside in insides)
    return f"<LifecycleConfiguration>{listed}</LifecycleConfiguration>".encode()


def decide(desk: Desk, *insides: str) -> None:
    assert desk("PUT", "/photos/?lifecycle", rules(*insides)).status == 200


def test_old_objects_go_by_prefix_and_tag(bucket: Desk, store: object) -> None:
    for key in ("log/a", "log/b", "keep"):
        bucket("PUT", f"/photos/{key}", b"x", **{"x-oss-tagging": "old=yes" if key == "log/a" else "old=no"})
    tag = "<Tag><Key>old</Key><Value>yes</Value></Tag>"
    decide(bucket, f"<Prefix>log/</Prefix>{tag}<Expiration><Days>3</Days></Expiration>")
    assert run_lifecycle(bucket.service) == LifecycleReport()
    bucket.clock[0] += 4 * DAY_S
    assert run_lifecycle(bucket.service, "photos") == LifecycleReport(expired=1)
    assert [bucket("HEAD", f"/photos/{key}").status for key in ("log/a", "log/b", "keep")] == [404, 200, 200]


def test_forgotten_uploads_are_aborted_and_objects_get_colder(bucket: Desk) -> None:
    bucket("POST", "/photos/a?uploads")
    bucket("PUT", "/photos/b", b"x")
    decide(
        bucket,
        "<AbortMultipartUpload><Days>1</Days></AbortMultipartUpload>"
        "<Transition><Days>1</Days><StorageClass>IA</StorageClass></Transition>"
        "<Transition><Days>9</Days><StorageClass>Archive</StorageClass></Transition>",
    )
    bucket.clock[0] += 2 * DAY_S
    assert run_lifecycle(bucket.service) == LifecycleReport(moved=1, aborted_uploads=1)
    assert run_lifecycle(bucket.service) == LifecycleReport()
    assert bucket("HEAD", "/photos/b").headers["x-oss-storage-class"] == "IA"
    bucket.clock[0] += 9 * DAY_S
    assert run_lifecycle(bucket.service).moved == 1
    assert bucket("GET", "/photos/b").code == "InvalidObjectState"


def test_old_versions_go_and_then_their_marker(bucket: Desk) -> None:
    bucket("PUT", "/photos/?versioning", ON)
    bucket("PUT", "/photos/a", b"1")
    bucket("DELETE", "/photos/a")
    decide(
        bucket,
        "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>",
        "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
    )
    bucket.clock[0] += 2 * DAY_S
    assert run_lifecycle(bucket.service).expired == 2
    listed = bucket("GET", "/photos/?versions").body.decode()
    assert "<Version>" not in listed
    assert "<DeleteMarker>" not in listed


def test_a_retention_policy_goes_before_lifecycle_rules(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"x")
    days = b"<RetentionPeriodInDays>9</RetentionPeriodInDays>"
    days = b"<InitiateWormConfiguration>" + days + b"</InitiateWormConfiguration>"
    worm = bucket("POST", "/photos/?worm", days).headers["x-oss-worm-id"]
    bucket("POST", f"/photos/?wormId={worm}")
    decide(bucket, "<Expiration><Days>1</Days></Expiration>")
    bucket.clock[0] += 5 * DAY_S
    assert run_lifecycle(bucket.service).expired == 0
    bucket.clock[0] += 5 * DAY_S
    assert run_lifecycle(bucket.service).expired == 1


IA = "<StorageClass>IA</StorageClass>"


@pytest.mark.parametrize(
    ("inside", "name"),
    [
        ("<Expiration><Date>{}</Date></Expiration>", "Date"),
        ("<Expiration><CreatedBeforeDate>{}</CreatedBeforeDate></Expiration>", "CreatedBeforeDate"),
        (f"<Transition><CreatedBeforeDate>{{}}</CreatedBeforeDate>{IA}</Transition>", "CreatedBeforeDate"),
        (
            "<AbortMultipartUpload><CreatedBeforeDate>{}</CreatedBeforeDate></AbortMultipartUpload>",
            "CreatedBeforeDate",
        ),
    ],
)
def test_the_date_of_a_rule_is_a_midnight(bucket: Desk, inside: str, name: str) -> None:
    for when in ("2026-08-05T19:25:00.000Z", "2026-08-05T00:00:01.000Z"):
        refused = bucket("PUT", "/photos/?lifecycle", rules(inside.format(when)))
        assert (refused.status, refused.code) == (400, "InvalidArgument")
        assert refused.element("Message") == "Date is not valid"
        assert (refused.element("ArgumentName"), refused.element("ArgumentValue")) == (name, when)
    decide(bucket, inside.format("2026-08-05T00:00:00.000Z"))


@pytest.mark.parametrize(
    ("inside", "count"),
    [
        ("<Expiration><Days>1</Days></Expiration>", 1),
        ("<Expiration><CreatedBeforeDate>2026-01-01T00:00:00.000Z</CreatedBeforeDate></Expiration>", 1),
        ("<Expiration><CreatedBeforeDate>2999-01-01T00:00:00.000Z</CreatedBeforeDate></Expiration>", 0),
        (
            "<Filter><ObjectSizeLessThan>9</ObjectSizeLessThan></Filter><Expiration><Days>1</Days></Expiration>",
            0,
        ),
    ],
)
def test_what_rules_ask_for_at_a_moment(inside: str, count: int) -> None:
    lifecycle = xml.read(Lifecycle, rules(inside), "LifecycleConfiguration")
    steps = steps_of(lifecycle, NOW * 1000)
    assert len(steps) == count
    assert all(step.before_ms < NOW * 1000 for step in steps)
    assert dates.to_iso(NOW).startswith("20")
    off = rules(inside).replace(b"Enabled", b"Disabled")
    assert steps_of(xml.read(Lifecycle, off, "LifecycleConfiguration"), NOW * 1000) == []


def test_the_schedule_runs_at_once_and_again_until_it_is_stopped(
    bucket: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = threading.Semaphore(0)

    def counted(*_: object) -> LifecycleReport:
        runs.release()
        return LifecycleReport()

    monkeypatch.setattr("penstock.server.lifecycle.run_lifecycle", counted)
    schedule = Schedule(bucket.service, every_s=0.001)
    schedule.start()
    for _ in range(3):
        assert runs.acquire(timeout=10)
    schedule.stop()


@pytest.mark.parametrize(
    "inside",
    [
        "<Expiration><Days>{}</Days></Expiration>",
        "<AbortMultipartUpload><Days>{}</Days></AbortMultipartUpload>",
        "<Transition><Days>{}</Days><StorageClass>IA</StorageClass></Transition>",
        "<NoncurrentVersionExpiration><NoncurrentDays>{}</NoncurrentDays></NoncurrentVersionExpiration>",
    ],
)
def test_days_beyond_any_age_are_refused_and_those_kept_from_before_reach_nothing(
    bucket: Desk, inside: str
) -> None:
    refused = bucket("PUT", "/photos/?lifecycle", rules(inside.format(2**62)))
    assert (refused.status, refused.code) == (400, "InvalidArgument")
    decide(bucket, inside.format(2**31 - 1))
    bucket("PUT", "/photos/a", b"x")
    kept = bucket.service.store.get_config("photos", "lifecycle")
    bucket.service.store.put_config("photos", "lifecycle", kept.replace(b"2147483647", b"%d" % 2**62))
    assert run_lifecycle(bucket.service) == LifecycleReport()
    assert bucket("HEAD", "/photos/a").status == 200


def test_a_version_that_is_deleted_while_it_is_to_be_moved_is_left_alone(
    bucket: Desk, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket("PUT", "/photos/?versioning", ON)
    for key in ("a", "b"):
        bucket("PUT", f"/photos/{key}", b"x")
    decide(bucket, "<Transition><Days>1</Days><StorageClass>IA</StorageClass></Transition>")
    bucket.clock[0] += 2 * DAY_S

    def update(
        name: str, key: str, change: Callable[[Attributes], Attributes], version_id: str | None = None
    ) -> ObjectRecord:
        if key == "a":
            store.delete_object(name, key, version_id)
        return LocalStore.update_object(store, name, key, change, version_id)

    monkeypatch.setattr(store, "update_object", update)
    assert run_lifecycle(bucket.service) == LifecycleReport(moved=1)
    assert bucket("HEAD", "/photos/b").headers["x-oss-storage-class"] == "IA"


def test_what_fails_in_one_bucket_is_logged_and_the_others_have_their_turn(
    bucket: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bucket("PUT", "/another/")
    for name in ("another", "photos"):
        bucket("PUT", f"/{name}/a", b"x")
        assert (
            bucket("PUT", f"/{name}/?lifecycle", rules("<Expiration><Days>1</Days></Expiration>")).status
            == 200
        )
    bucket.clock[0] += 2 * DAY_S
    carry_out = lifecycle._carry_out

    def fail(store: object, name: str, step: object) -> LifecycleReport:
        if name == "another":
            raise OverflowError("nobody thought of this")
        return carry_out(store, name, step)  # type: ignore[arg-type]

    monkeypatch.setattr(lifecycle, "_carry_out", fail)
    with caplog.at_level(logging.ERROR, "penstock.server"):
        assert run_lifecycle(bucket.service) == LifecycleReport(expired=1, failed_buckets=1)
    assert "another" in caplog.text
    assert "nobody thought of this" in caplog.text
