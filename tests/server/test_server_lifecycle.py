"""Lifecycle rules: what they ask for at a moment, and what becomes of objects, versions and uploads."""

from __future__ import annotations

import threading

import pytest
from server_desk import NOW, Desk

from penstock.protocol import dates, xml
from penstock.protocol.operations.retention import Lifecycle
from penstock.server.lifecycle import LifecycleReport, Schedule, run_lifecycle, steps_of

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
