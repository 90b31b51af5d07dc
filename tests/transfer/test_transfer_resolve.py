from __future__ import annotations

import pytest
from msgspec import structs

from penstock.errors import ConnectionLost, Forbidden
from penstock.transfer import commands as do
from penstock.transfer import events as on
from penstock.transfer.journal import TargetState
from penstock.transfer.resolve import Proof, Resolution, UploadEvidence, Verdict, is_ours, verdict

PROOF = Proof(ownership_token="mine", total_bytes=10, crc64=7, started_at=100)
OURS = TargetState(etag="e", size_bytes=10, modified_at=100, crc64=7, ownership_token="mine")
WITHOUT_TOKEN = structs.replace(PROOF, ownership_token="")


@pytest.mark.parametrize(
    ("upload", "object_is_ours", "settled", "expected"),
    [
        (UploadEvidence.LISTED, False, False, Verdict.ASK_AGAIN),
        (UploadEvidence.LISTED, False, True, Verdict.NOT_COMMITTED),
        (UploadEvidence.LISTED, True, False, Verdict.COMMITTED),
        (UploadEvidence.GONE, True, False, Verdict.COMMITTED),
        (UploadEvidence.GONE, False, False, Verdict.LOST),
        (UploadEvidence.GONE, False, True, Verdict.LOST),
        (UploadEvidence.NONE, True, False, Verdict.COMMITTED),
        (UploadEvidence.NONE, False, False, Verdict.ASK_AGAIN),
        (UploadEvidence.NONE, False, True, Verdict.NOT_COMMITTED),
    ],
)
def test_the_evidence_is_read_as_the_table_says(
    upload: UploadEvidence, object_is_ours: bool, settled: bool, expected: Verdict
) -> None:
    assert verdict(upload, object_is_ours=object_is_ours, settled=settled) is expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (None, False),
        (OURS, True),
        (structs.replace(OURS, crc64=None), True),
        (structs.replace(OURS, modified_at=1), True),
        (structs.replace(OURS, crc64=8), False),
        (structs.replace(OURS, size_bytes=11), False),
        (structs.replace(OURS, ownership_token="theirs"), False),
        (structs.replace(OURS, ownership_token=""), False),
    ],
)
def test_with_a_token_only_its_bearer_is_ours(target: TargetState | None, expected: bool) -> None:
    assert is_ours(target, PROOF) is expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (None, False),
        (OURS, True),
        (structs.replace(OURS, ownership_token=""), True),
        (structs.replace(OURS, modified_at=99), False),
        (structs.replace(OURS, crc64=None), False),
        (structs.replace(OURS, crc64=8), False),
        (structs.replace(OURS, size_bytes=11), False),
    ],
)
def test_without_a_token_length_checksum_and_time_must_agree(
    target: TargetState | None, expected: bool
) -> None:
    assert is_ours(target, WITHOUT_TOKEN) is expected


def test_without_a_token_and_a_checksum_nothing_is_ours() -> None:
    assert not is_ours(structs.replace(OURS, crc64=None), structs.replace(WITHOUT_TOKEN, crc64=None))


def test_an_upload_that_stays_listed_is_asked_for_until_the_settle_time_is_over() -> None:
    resolution = Resolution("u", PROOF, settle_s=1.0)
    assert resolution.begin() == [do.ConfirmGone(upload_id="u")]
    waited_s = 0.0
    while not resolution.done:
        assert resolution.handle(on.UploadStillListed()) == [do.InspectTarget()]
        commands = resolution.handle(on.TargetInspected(target=None))
        if commands:
            [wait] = commands
            assert isinstance(wait, do.Wait)
            waited_s += wait.seconds
            assert resolution.handle(on.Waited()) == [do.ConfirmGone(upload_id="u")]
    assert resolution.verdict is Verdict.NOT_COMMITTED
    assert waited_s == pytest.approx(1.0)


def test_an_object_that_appears_while_waiting_is_committed() -> None:
    resolution = Resolution("u", PROOF, settle_s=1.0)
    resolution.begin()
    resolution.handle(on.UploadStillListed())
    resolution.handle(on.TargetInspected(target=None))
    resolution.handle(on.Waited())
    resolution.handle(on.CancelConfirmed())
    assert resolution.handle(on.TargetInspected(target=OURS)) == []
    assert (resolution.verdict, resolution.target) == (Verdict.COMMITTED, OURS)


def test_a_single_put_is_resolved_by_the_object_alone() -> None:
    resolution = Resolution(None, PROOF, settle_s=0.0)
    assert resolution.begin() == [do.InspectTarget()]
    resolution.handle(on.TargetInspected(target=None))
    assert resolution.verdict is Verdict.NOT_COMMITTED


def test_without_evidence_there_is_no_verdict() -> None:
    resolution = Resolution("u", PROOF, settle_s=0.1)
    lost = ConnectionLost("gone", host="h")
    assert resolution.handle(on.ConfirmGoneFailed(error=lost)) == [do.Wait(seconds=0.1)]
    resolution.handle(on.Waited())
    resolution.handle(on.UploadStillListed())
    assert resolution.handle(on.InspectTargetFailed(error=lost)) == []
    assert (resolution.verdict, resolution.error) == (None, lost)


def test_a_missing_permission_is_not_waited_for() -> None:
    resolution = Resolution("u", PROOF, settle_s=10.0)
    denied = Forbidden("no", status=403, code="AccessDenied")
    assert resolution.handle(on.ConfirmGoneFailed(error=denied)) == []
    assert resolution.error is denied
