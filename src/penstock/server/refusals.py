"""What OSS answers where the store, the names or the wire say no."""

from __future__ import annotations

from penstock.errors import InvalidInput, ServiceError
from penstock.protocol.binding import ParameterUnreadable
from penstock.protocol.error_table import fault
from penstock.protocol.xml import XmlUnreadable
from penstock.server.store import faults

_NO_SUCH_UPLOAD = {
    "UploadPart": "0042-00000104",
    "UploadPartCopy": "0042-00000311",
    "CompleteMultipartUpload": "0042-00000203",
}
_MALFORMED = {"CompleteMultipartUpload": "0042-00000205", "DeleteMultipleObjects": "0016-00000608"}


def refusal_of_store(error: faults.StoreFault, operation: str = "") -> ServiceError:
    """The error of OSS for what a store refused to a call of this name."""
    match error:
        case faults.BucketMissing():
            return fault("NoSuchBucket", BucketName=error.bucket)
        case faults.BucketExists():
            return fault("BucketAlreadyExists", BucketName=error.bucket)
        case faults.BucketNotEmpty():
            return fault("BucketNotEmpty", BucketName=error.bucket)
        case faults.KeyMissing():
            return fault("NoSuchKey", Key=error.key)
        case faults.VersionIsMarker():
            return fault("MethodNotAllowed", ec="", Method="GET", ResourceType="DeleteMarker")
        case faults.ConfigMissing():
            return fault("InternalError", message=str(error))
        case faults.VersionMissing():
            return fault("NoSuchVersion", Key=error.key, VersionId=error.version_id)
        case faults.AlreadyExists():
            ec = "0042-00000214" if operation == "CompleteMultipartUpload" else None
            return fault("FileAlreadyExists", ec=ec, Key=error.key)
        case faults.NotAppendable():
            return fault("ObjectNotAppendable", Key=error.key)
        case faults.PositionMismatch():
            return fault("PositionNotEqualToLength")
        case faults.UploadMissing():
            return fault("NoSuchUpload", ec=_NO_SUCH_UPLOAD.get(operation), UploadId=error.upload_id)
        case faults.NoParts():
            return fault("MalformedXML", ec="0042-00000205")
        case faults.PartInvalid():
            return fault(
                "InvalidPart", UploadId=error.upload_id, PartNumber=error.number, PartEtag=error.etag
            )
        case faults.PartOrderInvalid():
            return fault("InvalidPartOrder", UploadId=error.upload_id, PartNumber=error.number)
        case faults.PartTooSmall():
            return fault(
                "EntityTooSmall",
                PartNumber=error.number,
                ProposedSize=error.size_bytes,
                MinSizeAllowed=error.least_bytes,
            )
        case faults.PartNumberInvalid():
            return part_number_refused(error.number)
        case faults.PartNotSequential():
            return fault("PartNotSequential", PartNumber=error.number)
        case faults.PartAlreadyExists():
            return fault("PartAlreadyExist", PartNumber=error.number)
        case faults.RangeInvalid():
            return fault("InvalidRange", ActualObjectSize=error.size_bytes)
        case faults.SizeMismatch():
            return fault("IncompleteBody")
        case faults.DigestMismatch(algorithm="md5"):
            return fault("InvalidDigest")
        case faults.DigestMismatch():
            return fault("InvalidCRC64")
        case _:
            return fault("InternalError", message=str(error))


def headers_of_store(error: faults.StoreFault) -> dict[str, str]:
    """What the answer to a refusal of the store says beside it."""
    match error:
        case faults.KeyMissing(marker_version_id=str(marker)):
            return {"x-oss-delete-marker": "true", "x-oss-version-id": marker}
        case faults.VersionIsMarker():
            return {"x-oss-delete-marker": "true", "x-oss-version-id": error.version_id, "allow": "DELETE"}
        case faults.PositionMismatch():
            return {"x-oss-next-append-position": str(error.actual)}
        case _:
            return {}


def part_number_refused(number: int) -> ServiceError:
    """The error for a part number beyond 1 to 10,000."""
    return fault(
        "InvalidArgument",
        message="Part number must be an integer between 1 and 10000, inclusive.",
        ec="0017-00000220",
        ArgumentName="partNumber",
        ArgumentValue=number,
    )


def refusal_of_parameter(error: ParameterUnreadable) -> ServiceError:
    """The error for a query parameter or header that is missing or not what it must be."""
    if error.value is None:
        ec = {"partNumber": "0017-00000219", "position": "0016-00000501"}.get(error.name, "")
        return fault("MissingArgument", ec=ec, ArgumentName=error.name)
    return fault(
        "InvalidArgument", message=str(error), ArgumentName=error.name, ArgumentValue=error.value[:1024]
    )


def refusal_of_document(error: XmlUnreadable, operation: str = "") -> ServiceError:
    """The error for a body that is not the XML that a call of this name takes."""
    return fault("MalformedXML", ec=_MALFORMED.get(operation), ErrorDetail=str(error))


def refusal_of_name(code: str, error: InvalidInput) -> ServiceError:
    """The error of this code, with what is wrong with the name."""
    return fault(code, ErrorDetail=error.message)
