"""
Uploads to Alibaba Cloud OSS that stop when told to and go on later, and an OSS that runs locally.

Example:
    with penstock.Client("https://oss-cn-hangzhou.aliyuncs.com") as client:
        transfer = client.upload("big.iso", "oss://bucket/big.iso")
        transfer.abort()                                     # at once; the UploadId stays valid
        client.resume(transfer.resume_token).result()        # goes on where it stopped
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from penstock.version import VERSION

if TYPE_CHECKING:
    from penstock.client.aio import AsyncClient, AsyncObjectBody, AsyncSelectBody
    from penstock.client.aio_group import AsyncGroup
    from penstock.client.aio_transfer import AsyncTransfer
    from penstock.client.calls.object_body import ObjectBody
    from penstock.client.calls.options import Callback, ObjectOptions
    from penstock.client.calls.presign import PresignedUrl
    from penstock.client.calls.select import CsvInput, JsonInput, SelectMeta
    from penstock.client.calls.select_body import SelectBody
    from penstock.client.client import Client
    from penstock.client.identity.credentials import Credentials
    from penstock.client.running.control import RunningTransfer, running_transfers
    from penstock.client.running.control_messages import TransferEnd
    from penstock.client.running.transfer import Transfer
    from penstock.client.sending.call import Call
    from penstock.client.sending.outcome import Outcome
    from penstock.client.sending.retry import RetryPolicy
    from penstock.client.sending.scope import abort_all, abort_scope
    from penstock.client.transfers.group import Group
    from penstock.errors import (
        NOT_SENT,
        STOPPED_IN_FLIGHT,
        Aborted,
        ChecksumMismatch,
        Committed,
        Conflict,
        ConnectFailed,
        ConnectionLost,
        CredentialsMissing,
        Forbidden,
        IncompleteUpload,
        InvalidInput,
        JournalLocked,
        JournalUnreadable,
        MalformedResponse,
        NameNotResolved,
        NetworkError,
        NoSuchBucket,
        NoSuchKey,
        NoSuchUpload,
        NotFound,
        NotModified,
        PenstockError,
        PreconditionFailed,
        ProxyRefused,
        ServiceError,
        ServiceUnavailable,
        SourceChanged,
        SourceEndedEarly,
        SourceError,
        SourceGrew,
        SourceUnreadable,
        StoreError,
        TargetChanged,
        TimedOut,
        TlsFailed,
        TransferError,
        UnexpectedError,
        UploadLost,
    )
    from penstock.net.settings import NetSettings
    from penstock.transfer.outcome import CleanUp, Stored
    from penstock.transfer.progress import Progress

__version__ = VERSION

# Each name is imported when it is first asked for: `penstock --help` needs none of them.
_PLACES = {
    "penstock.client.aio": "AsyncClient AsyncObjectBody AsyncSelectBody",
    "penstock.client.aio_group": "AsyncGroup",
    "penstock.client.aio_transfer": "AsyncTransfer",
    "penstock.client.sending.call": "Call",
    "penstock.client.client": "Client",
    "penstock.client.running.control": "RunningTransfer running_transfers",
    "penstock.client.running.control_messages": "TransferEnd",
    "penstock.client.identity.credentials": "Credentials",
    "penstock.client.transfers.group": "Group",
    "penstock.client.calls.object_body": "ObjectBody",
    "penstock.client.calls.options": "Callback ObjectOptions",
    "penstock.client.sending.outcome": "Outcome",
    "penstock.client.calls.presign": "PresignedUrl",
    "penstock.client.calls.select": "CsvInput JsonInput SelectMeta",
    "penstock.client.calls.select_body": "SelectBody",
    "penstock.client.sending.retry": "RetryPolicy",
    "penstock.client.sending.scope": "abort_all abort_scope",
    "penstock.client.running.transfer": "Transfer",
    "penstock.errors": """
        NOT_SENT STOPPED_IN_FLIGHT Aborted ChecksumMismatch Committed
        Conflict ConnectFailed ConnectionLost CredentialsMissing Forbidden
        IncompleteUpload InvalidInput JournalLocked JournalUnreadable MalformedResponse
        NameNotResolved NetworkError NoSuchBucket NoSuchKey NoSuchUpload
        NotFound NotModified PenstockError PreconditionFailed ProxyRefused
        ServiceError ServiceUnavailable SourceChanged SourceEndedEarly SourceError
        SourceGrew SourceUnreadable StoreError TargetChanged TimedOut
        TlsFailed TransferError UnexpectedError UploadLost
    """,
    "penstock.net.settings": "NetSettings",
    "penstock.transfer.outcome": "CleanUp Stored",
    "penstock.transfer.progress": "Progress",
}
_PLACE_OF = {name: place for place, names in _PLACES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    place = _PLACE_OF.get(name)
    if place is None:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(place), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "NOT_SENT",
    "STOPPED_IN_FLIGHT",
    "Aborted",
    "AsyncClient",
    "AsyncGroup",
    "AsyncObjectBody",
    "AsyncSelectBody",
    "AsyncTransfer",
    "Call",
    "Callback",
    "ChecksumMismatch",
    "CleanUp",
    "Client",
    "Committed",
    "Conflict",
    "ConnectFailed",
    "ConnectionLost",
    "Credentials",
    "CredentialsMissing",
    "CsvInput",
    "Forbidden",
    "Group",
    "IncompleteUpload",
    "InvalidInput",
    "JournalLocked",
    "JournalUnreadable",
    "JsonInput",
    "MalformedResponse",
    "NameNotResolved",
    "NetSettings",
    "NetworkError",
    "NoSuchBucket",
    "NoSuchKey",
    "NoSuchUpload",
    "NotFound",
    "NotModified",
    "ObjectBody",
    "ObjectOptions",
    "Outcome",
    "PenstockError",
    "PreconditionFailed",
    "PresignedUrl",
    "Progress",
    "ProxyRefused",
    "RetryPolicy",
    "RunningTransfer",
    "SelectBody",
    "SelectMeta",
    "ServiceError",
    "ServiceUnavailable",
    "SourceChanged",
    "SourceEndedEarly",
    "SourceError",
    "SourceGrew",
    "SourceUnreadable",
    "StoreError",
    "Stored",
    "TargetChanged",
    "TimedOut",
    "TlsFailed",
    "Transfer",
    "TransferEnd",
    "TransferError",
    "UnexpectedError",
    "UploadLost",
    "__version__",
    "abort_all",
    "abort_scope",
    "running_transfers",
]
