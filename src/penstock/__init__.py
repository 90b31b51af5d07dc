"""
Uploads to Alibaba Cloud OSS that stop when told to and go on later, and an OSS that runs locally.

Example:
    with penstock.Client("https://oss-cn-hangzhou.aliyuncs.com") as client:
        transfer = client.upload("big.iso", "oss://bucket/big.iso")
        transfer.abort()                                     # at once; the UploadId stays valid
        client.resume(transfer.resume_token).result()        # goes on where it stopped
"""

from penstock.client.aio import AsyncClient, AsyncObjectBody, AsyncTransfer
from penstock.client.call import Call
from penstock.client.client import Client
from penstock.client.credentials import Credentials
from penstock.client.object_body import ObjectBody
from penstock.client.outcome import Outcome
from penstock.client.presign import PresignedUrl
from penstock.client.retry import RetryPolicy
from penstock.client.scope import abort_scope
from penstock.client.transfer import Transfer
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
    UploadLost,
)
from penstock.net.settings import NetSettings
from penstock.transfer.outcome import CleanUp, Stored
from penstock.transfer.progress import Progress
from penstock.version import VERSION

__version__ = VERSION

__all__ = [
    "NOT_SENT",
    "STOPPED_IN_FLIGHT",
    "Aborted",
    "AsyncClient",
    "AsyncObjectBody",
    "AsyncTransfer",
    "Call",
    "ChecksumMismatch",
    "CleanUp",
    "Client",
    "Committed",
    "Conflict",
    "ConnectFailed",
    "ConnectionLost",
    "Credentials",
    "CredentialsMissing",
    "Forbidden",
    "IncompleteUpload",
    "InvalidInput",
    "JournalLocked",
    "JournalUnreadable",
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
    "Outcome",
    "PenstockError",
    "PreconditionFailed",
    "PresignedUrl",
    "Progress",
    "ProxyRefused",
    "RetryPolicy",
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
    "TransferError",
    "UploadLost",
    "__version__",
    "abort_scope",
]
