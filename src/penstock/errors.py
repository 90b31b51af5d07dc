"""
Every exception that penstock raises, in one small tree.

    PenstockError
      InvalidInput (also ValueError)   asked for the impossible; nothing was sent
        CredentialsMissing             none found, or only half of a pair
      SourceError                      the bytes to be sent
        SourceUnreadable               missing, a directory, no permission, or its read failed
        SourceEndedEarly               fewer bytes came than were announced
        SourceGrew                     more bytes came than were announced
        SourceChanged                  no longer the file that the upload began with
      NetworkError                     no complete answer           .host
        NameNotResolved                ConnectFailed    ProxyRefused    TlsFailed
        TimedOut                       ConnectionLost   MalformedResponse
      ChecksumMismatch                 bytes differ from what the other side has    .expected .actual
      ServiceError                     OSS answered with an error   .status .code .request_id .ec .fields
        NotFound                       NoSuchBucket  NoSuchKey  NoSuchUpload
        Forbidden  Conflict  PreconditionFailed  NotModified  ServiceUnavailable
      Aborted                          stopped as asked             .committed .upload_id .resume_token ...
      TransferError                    a transfer could not go on, and says what was kept
        JournalLocked                  another process owns it
        JournalUnreadable              its record cannot be trusted
        UploadLost                     the UploadId is gone and the object is not ours
        TargetChanged                  somebody else wrote to the key since the start
        IncompleteUpload               parts are missing where there should be none
        UnexpectedError                code that is not penstock's raised an error    .__cause__
      StoreError                       the disk of a local server

Every error has a ``code`` (a word or number that programs may compare) and ``advice`` (one line that
says what to do next). ``str(error)`` is the message, then the advice. No error carries a secret, and
every one can be pickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar

NOT_SENT = "ClientError:100002"
"""The code of an abort that came before the request was started."""

STOPPED_IN_FLIGHT = "ClientError:200042"
"""The code of an abort that stopped a request while it was running."""


class Committed(StrEnum):
    """Whether OSS has what a call was to make."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


def _rebuild(cls: type[PenstockError], args: tuple[Any, ...], state: dict[str, Any]) -> PenstockError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class PenstockError(Exception):
    """
    The root of everything that penstock raises.

    Args:
        message: What was tried, on what, and what came back.
        advice: One line of what to do next; may be empty.
        code: Overrides the class's own code.

    Attributes:
        in_doubt: True if an earlier attempt of the same call may have taken effect, unanswered.
    """

    code: str = "PenstockError"
    in_doubt: bool = False

    def __init__(self, message: str, *, advice: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message}\n{self.advice}" if self.advice else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, dict(self.__dict__))


class InvalidInput(PenstockError, ValueError):
    """The caller asked for something that cannot be; nothing was sent."""

    code = "ValidateError"


class CredentialsMissing(InvalidInput):
    """No credentials were found, or only half of a pair."""

    code = "CredentialsMissing"


class SourceError(PenstockError):
    """The bytes to be sent could not be had as announced."""

    code = "SourceError"


class SourceUnreadable(SourceError):
    """The source is missing, is a directory, may not be read, or its read failed."""


class SourceEndedEarly(SourceError):
    """The source gave fewer bytes than were announced; no object was made of them."""


class SourceGrew(SourceError):
    """The source gave more bytes than were announced; no object was made of them."""


class SourceChanged(SourceError):
    """
    The source is no longer what the upload began with.

    Attributes:
        matching_parts: Numbers of the stored parts that still equal the source.
        differing_parts: Numbers of the stored parts that do not.
    """

    code = "SourceChanged"

    def __init__(
        self,
        message: str,
        *,
        advice: str = "",
        matching_parts: tuple[int, ...] = (),
        differing_parts: tuple[int, ...] = (),
    ) -> None:
        super().__init__(message, advice=advice)
        self.matching_parts = matching_parts
        self.differing_parts = differing_parts


class NetworkError(PenstockError):
    """
    No complete answer came.

    Attributes:
        host: ``host:port`` that was spoken to, or was to be.
        request_sent: True if all of the request was handed to the network, so that the other side
            may have acted on it.
    """

    code = "ClientError:200056"

    def __init__(
        self,
        message: str,
        *,
        host: str = "",
        request_sent: bool = False,
        advice: str = "",
        code: str | None = None,
    ) -> None:
        super().__init__(message, advice=advice, code=code)
        self.host = host
        self.request_sent = request_sent


class NameNotResolved(NetworkError):
    """The host has no address that the resolver knows."""

    code = "ClientError:200006"


class ConnectFailed(NetworkError):
    """No address of the host accepted a connection."""

    code = "ClientError:200007"


class ProxyRefused(NetworkError):
    """The proxy did not open a way to the host."""

    code = "ClientError:200005"


class TlsFailed(NetworkError):
    """The TLS handshake failed, or the certificate is not trusted."""

    code = "ClientError:200035"


class TimedOut(NetworkError):
    """Nothing moved for longer than the time-out allows."""

    code = "ClientError:200028"


class ConnectionLost(NetworkError):
    """The connection ended before the answer was complete."""

    code = "ClientError:200056"


class MalformedResponse(NetworkError):
    """The answer is not HTTP, or not what OSS answers to this call."""

    code = "ClientError:200008"


class ChecksumMismatch(PenstockError):
    """
    The CRC-64 of the bytes here differs from the one OSS reports; of selected records it is a CRC-32.

    Attributes:
        expected: CRC of the bytes on this side.
        actual: CRC that the other side reported.
    """

    code = "ClientError:100001"

    def __init__(self, message: str, *, expected: int, actual: int, advice: str = "") -> None:
        super().__init__(message, advice=advice)
        self.expected = expected
        self.actual = actual


class ServiceError(PenstockError):
    """
    OSS answered with an error.

    Attributes:
        status: HTTP status.
        code: The code of OSS, such as ``NoSuchKey``; kept as sent even if never seen before.
        request_id: 24 hex characters that Alibaba Cloud support asks for.
        ec: The fine-grained code (``0017-00000104``), or an empty string.
        fields: All other elements of the error document, by name.
        resource: ``oss://bucket/key`` that was asked for.
    """

    by_code: ClassVar[dict[str, type[ServiceError]]] = {}
    by_status: ClassVar[dict[int, type[ServiceError]]] = {}
    code = "ServiceError"

    def __init_subclass__(cls, *, codes: tuple[str, ...] = (), statuses: tuple[int, ...] = ()) -> None:
        super().__init_subclass__()
        ServiceError.by_code.update(dict.fromkeys(codes, cls))
        ServiceError.by_status.update(dict.fromkeys(statuses, cls))

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        request_id: str = "",
        ec: str = "",
        host_id: str = "",
        fields: Mapping[str, str] | None = None,
        resource: str = "",
        advice: str = "",
    ) -> None:
        super().__init__(message, advice=advice, code=code)
        self.status = status
        self.request_id = request_id
        self.ec = ec
        self.host_id = host_id
        self.fields = dict(fields or {})
        self.resource = resource

    @staticmethod
    def class_for(code: str, status: int) -> type[ServiceError]:
        """The most specific class for an answer: by its code, else by its status, else the base."""
        found = ServiceError.by_code.get(code) or ServiceError.by_status.get(status)
        if found is None and status >= 500:
            found = ServiceUnavailable
        return found or ServiceError

    def __str__(self) -> str:
        where = f" for {self.resource}" if self.resource else ""
        text = f"OSS answered {self.status} {self.code}{where}: {self.message}"
        known = [
            f"request id {self.request_id}" if self.request_id else "",
            f"EC {self.ec}" if self.ec else "",
        ]
        detail = ", ".join(word for word in known if word)
        text = f"{text} ({detail})" if detail else text
        return f"{text}\n{self.advice}" if self.advice else text


class NotFound(ServiceError, statuses=(404,)):
    """What was asked for is not there."""


class NoSuchBucket(NotFound, codes=("NoSuchBucket",)):
    """The bucket does not exist."""


class NoSuchKey(NotFound, codes=("NoSuchKey",)):
    """The object does not exist."""


class NoSuchUpload(NotFound, codes=("NoSuchUpload",)):
    """The UploadId is not valid: never was, or the upload was completed or cancelled."""


class Forbidden(ServiceError, statuses=(401, 403)):
    """The signature, the clock or the permissions are not accepted."""


class Conflict(ServiceError, statuses=(409,)):
    """The state of the bucket or object does not allow it."""


class PreconditionFailed(ServiceError, statuses=(412,)):
    """A condition of the request did not hold."""


class NotModified(ServiceError, statuses=(304,)):
    """The object has not changed since the one named in the condition."""


class ServiceUnavailable(ServiceError):
    """OSS failed or asks to slow down (5xx)."""


class Aborted(PenstockError):
    """
    A call or transfer was stopped as asked.

    Attributes:
        code: `NOT_SENT` or `STOPPED_IN_FLIGHT`.
        committed: `Committed.NO`, or `Committed.UNKNOWN` if a request that can commit had been handed
            over so far that OSS may have all of it.
        upload_id: The UploadId that stays valid (of a call that named one, the one it named), or None.
        acknowledged_bytes: Bytes that OSS has confirmed.
        in_doubt_bytes: Bytes sent and not confirmed.
        resume_token: Text for `Client.resume`, or None where there is nothing to resume.
        reason: Who asked: ``abort``, ``deadline``, ``disabled``, ``interrupt``, ``closed`` ...
    """

    code = NOT_SENT

    def __init__(
        self,
        message: str,
        *,
        code: str = NOT_SENT,
        committed: Committed = Committed.NO,
        upload_id: str | None = None,
        acknowledged_bytes: int = 0,
        in_doubt_bytes: int = 0,
        resume_token: str | None = None,
        reason: str = "abort",
        advice: str = "",
    ) -> None:
        super().__init__(message, advice=advice, code=code)
        self.committed = committed
        self.upload_id = upload_id
        self.acknowledged_bytes = acknowledged_bytes
        self.in_doubt_bytes = in_doubt_bytes
        self.resume_token = resume_token
        self.reason = reason


class TransferError(PenstockError):
    """
    A transfer could not go on.

    Attributes:
        upload_id: The UploadId that is still open, or None.
        resume_token: Text for `Client.resume`, or None where there is nothing to resume.
    """

    code = "TransferError"

    def __init__(
        self, message: str, *, upload_id: str | None = None, resume_token: str | None = None, advice: str = ""
    ) -> None:
        super().__init__(message, advice=advice)
        self.upload_id = upload_id
        self.resume_token = resume_token


class JournalLocked(TransferError):
    """Another process, named in the message, is carrying out this transfer."""

    code = "JournalLocked"


class JournalUnreadable(TransferError):
    """The journal is of another version, or damaged before its last complete record."""

    code = "JournalUnreadable"


class UploadLost(TransferError):
    """The UploadId is gone and the object is not ours: expired, cancelled elsewhere, or overwritten."""

    code = "UploadLost"


class TargetChanged(TransferError):
    """Somebody else wrote to the key since this transfer began; nothing was overwritten."""

    code = "TargetChanged"


class IncompleteUpload(TransferError):
    """Parts or bytes are missing where there should be none; the upload was not completed."""

    code = "IncompleteUpload"


class UnexpectedError(TransferError):
    """
    An error that is none of these stopped the transfer: it is the ``__cause__``.

    A progress callback, a source or a credentials provider of the caller's raised it.
    """

    code = "UnexpectedError"


class StoreError(PenstockError):
    """The disk of a local server failed, or its data directory cannot be used."""

    code = "StoreError"
