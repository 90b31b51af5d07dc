"""
The errors of OSS: code, HTTP status, message, EC where it is always the same, and what helps.

Messages and statuses are those that OSS documents (its "Error responses" and EC pages) and that its own
SDKs expect. `penstock.protocol.error_table` reads this in both directions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from penstock.protocol.error_codes_select import SELECT_ERRORS


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """
    One error of OSS.

    Attributes:
        status: HTTP status.
        message: What OSS says, in its own words.
        ec: The fine-grained code, where there is only one.
        advice: What whoever gets it can do next.
        retryable: True if the same request may well succeed a little later.
    """

    status: int
    message: str
    ec: str = ""
    advice: str = ""
    retryable: bool = False


_CHECK_THE_PAIR = (
    "Check that the secret belongs to the access key, that neither has stray spaces, and that nothing between"
    " here and OSS changes the request (the error's field StringToSign shows what OSS signed)."
)
_START_AGAIN = (
    "It was completed, cancelled or expired: look at the object, then start a new upload if it is not there."
)
_PART_NEEDED = (
    "List the parts, send those that are missing or differ, and complete again; the upload is still open."
)
_LATER = "Try again a little later, with fewer requests at once."

ERROR_CODES: Mapping[str, ErrorCode] = MappingProxyType(
    {
        # Who asks
        "AccessDenied": ErrorCode(
            403,
            "AccessDenied",
            advice="Check what the access key may do here, and that the endpoint is that of the bucket.",
        ),
        "InvalidAccessKeyId": ErrorCode(
            403,
            "The OSS Access Key Id you provided does not exist in our records.",
            "0002-00000902",
            "Check OSS_ACCESS_KEY_ID: unknown or disabled there, or temporary and sent without its token.",
        ),
        "SignatureDoesNotMatch": ErrorCode(
            403,
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
            "0002-00000040",
            _CHECK_THE_PAIR,
        ),
        "RequestTimeTooSkewed": ErrorCode(
            403,
            "The difference between the request time and the current time is too large.",
            "0002-00000504",
            "Set this machine's clock: it may differ from OSS by at most 15 minutes.",
        ),
        "InvalidSecurityToken": ErrorCode(
            403,
            "The security token you provided is invalid.",
            advice="Use the token together with the very access key pair that it was issued with.",
        ),
        "SecurityTokenExpired": ErrorCode(
            403, "The security token you provided has expired.", advice="Fetch new temporary credentials."
        ),
        "SecurityTokenNotSupported": ErrorCode(400, "The security token is not supported."),
        "UserDisable": ErrorCode(
            403,
            "UserDisable",
            "0003-00000801",
            "The account is in arrears or closed: see to it in the console of Alibaba Cloud.",
        ),
        "SecondLevelDomainForbidden": ErrorCode(
            403,
            "The bucket you are attempting to access must be addressed using OSS third level domain.",
            advice="Put the bucket into the host name: an endpoint with a name, and path_style=False.",
        ),
        "NeedVerifyDomainOwnership": ErrorCode(
            403,
            "The domain name needs to be verified.",
            "0018-00000115",
            "Add the TXT record that the console asks for, then bind the domain again.",
        ),
        # Buckets
        "NoSuchBucket": ErrorCode(
            404,
            "The specified bucket does not exist.",
            "0015-00000101",
            "Check the spelling and the region of the endpoint, or make the bucket: penstock mb oss://BUCKET",
        ),
        "InvalidBucketName": ErrorCode(
            400,
            "The specified bucket is not valid.",
            advice="A bucket name is 3 to 63 of a-z, 0-9 and -, with no - at either end.",
        ),
        "BucketAlreadyExists": ErrorCode(
            409,
            "The requested bucket name is not available. The bucket namespace is shared by all users of the "
            "system. Please select a different name and try again.",
            "0015-00000104",
            "Somebody has a bucket of this name already: choose another.",
        ),
        "BucketNotEmpty": ErrorCode(
            409,
            "The bucket has objects. Please delete them first.",
            "0015-00000301",
            "Delete its objects and versions, and cancel its unfinished uploads: "
            "penstock uploads clean --older-than 0s oss://BUCKET",
        ),
        "TooManyBuckets": ErrorCode(
            400,
            "You have attempted to create more buckets than allowed.",
            advice="Delete one that is no longer needed, or use another region.",
        ),
        "NoSuchRegion": ErrorCode(404, "The specified region does not exist."),
        "InvalidLocationConstraint": ErrorCode(400, "The specified location-constraint is not valid."),
        "NoSuchLifecycle": ErrorCode(404, "No Row found in Lifecycle Table."),
        "NoSuchCORSConfiguration": ErrorCode(404, "The specified CORS configuration does not exist."),
        "NoSuchWebsiteConfiguration": ErrorCode(
            404, "The specified bucket does not have a website configuration."
        ),
        "NoSuchBucketPolicy": ErrorCode(404, "The bucket policy does not exist."),
        "NoSuchServerSideEncryptionRule": ErrorCode(
            404, "The server side encryption configuration does not exist."
        ),
        "NoSuchTransferAccelerationConfiguration": ErrorCode(
            404, "The bucket doesn't have transfer acceleration configuration."
        ),
        "NoSuchInventory": ErrorCode(404, "The specified inventory does not exist."),
        "NoSuchUserDefinedLogFieldsConfig": ErrorCode(404, "The user defined log fields do not exist."),
        "NoSuchBucketOverwriteConfig": ErrorCode(404, "The overwrite configuration does not exist."),
        "NoSuchWORMConfiguration": ErrorCode(404, "The WORM Configuration does not exist."),
        "WORMConfigurationLocked": ErrorCode(403, "The WORM Configuration is locked."),
        "InvalidWORMConfiguration": ErrorCode(400, "The WORM Configuration is invalid."),
        "AccessForbidden": ErrorCode(
            403,
            "CORSResponse: CORS is not enabled for this bucket.",
            advice="Allow the page's origin and method in the CORS rules of the bucket.",
        ),
        "InvalidTargetBucketForLogging": ErrorCode(400, "Put bucket log is invalid."),
        "InvalidPolicyDocument": ErrorCode(
            400, "The content of the form does not meet the conditions specified in the policy document."
        ),
        # Objects
        "NoSuchKey": ErrorCode(
            404,
            "The specified key does not exist.",
            "0026-00000001",
            "List what is there: penstock ls oss://BUCKET/PREFIX",
        ),
        "NoSuchVersion": ErrorCode(404, "The specified version does not exist."),
        "InvalidObjectName": ErrorCode(
            400,
            "The specified object is not valid.",
            advice="A key is 1 to 1023 bytes of UTF-8 and begins with neither / nor \\.",
        ),
        "FileAlreadyExists": ErrorCode(
            409,
            "The object you specified already exists and can not be overwritten.",
            advice="Something is at this key already: choose another key, or allow overwriting.",
        ),
        "ObjectAlreadyExists": ErrorCode(
            400, "The object you specified already exists and can not be overwritten."
        ),
        "FileImmutable": ErrorCode(
            409,
            "The object you specified is immutable.",
            advice="A retention policy of the bucket protects it; wait for its end or use another key.",
        ),
        "PositionNotEqualToLength": ErrorCode(
            409,
            "Position is not equal to file length",
            "0026-00000016",
            "Append at x-oss-next-append-position, after looking at what was added meanwhile.",
        ),
        "ObjectNotAppendable": ErrorCode(
            409,
            "The object is not appendable",
            advice="Only objects made by AppendObject can be appended to: choose another key.",
        ),
        "NotSymlink": ErrorCode(400, "The object is not symlink."),
        "SymlinkTargetNotExist": ErrorCode(404, "The symlink target object does not exist"),
        "InvalidTargetType": ErrorCode(400, "The symbolic's target file type is invalid"),
        "InvalidObjectState": ErrorCode(
            403,
            "The operation is not valid for the object's state",
            advice="An archived object must be restored before it can be read.",
        ),
        "RestoreAlreadyInProgress": ErrorCode(409, "The restore operation is in progress."),
        "ArchiveRestoreNotFinished": ErrorCode(
            409, "The archive file's restore is not finished.", "0016-00000719"
        ),
        "OperationNotSupported": ErrorCode(400, "The operation is not supported for this resource"),
        "NotModified": ErrorCode(304, "Not Modified"),
        "PreconditionFailed": ErrorCode(
            412,
            "At least one of the pre-conditions you specified did not hold.",
            advice="The object is not, or no longer, the one that the condition names.",
        ),
        "InvalidRange": ErrorCode(416, "The requested range cannot be satisfied"),
        "CallbackFailed": ErrorCode(
            203,
            "Error status : 502.",
            "0007-00000203",
            "The object is stored; only the callback failed. Look at the callback server.",
        ),
        # Multipart uploads
        "NoSuchUpload": ErrorCode(
            404,
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been "
            "aborted or completed.",
            "0042-00000002",
            _START_AGAIN,
        ),
        "InvalidPart": ErrorCode(
            400,
            "One or more of the specified parts could not be found or the specified entity tag might not"
            " have matched the part's entity tag.",
            advice=_PART_NEEDED,
        ),
        "InvalidPartOrder": ErrorCode(
            400,
            "The list of parts was not in ascending order. Parts list must specified in order by part"
            " number.",
            "0042-00000209",
            "Sort the parts by number and complete again; the upload is still open.",
        ),
        "EntityTooSmall": ErrorCode(
            400,
            "Your proposed upload smaller than the minimum allowed size.",
            "0042-00000213",
            "Every part but the last needs at least 100 KiB: start again with larger parts.",
        ),
        "EntityTooLarge": ErrorCode(
            400,
            "Your proposed upload exceeds the maximum allowed object size.",
            advice="One request carries at most 5 GiB: upload in parts.",
        ),
        "PartNotSequential": ErrorCode(
            400,
            "For sequential multipart upload, you must upload or complete parts with sequential part"
            " numbers.",
            "0042-00000105",
            "It takes its parts one after the other: list the parts and go on with the next number.",
        ),
        "PartAlreadyExist": ErrorCode(
            409,
            "For sequential multipart upload, you can't overwrite uploaded parts.",
            "0042-00000108",
            "The part is there already: list the parts and compare it before going on.",
        ),
        "FilePartNotExist": ErrorCode(400, "The specified file part does not exist."),
        # The request
        "InvalidArgument": ErrorCode(400, "Invalid Argument."),
        "MissingArgument": ErrorCode(400, "Missing Some Required Arguments."),
        "InvalidRequest": ErrorCode(400, "Invalid Request."),
        "BadRequest": ErrorCode(400, "Bad Request."),
        "MalformedXML": ErrorCode(
            400, "The XML you provided was not well-formed or did not validate against our published schema."
        ),
        "InvalidEncryptionRequest": ErrorCode(400, "The encryption request you specified is not valid."),
        "InvalidEncryptionAlgorithmError": ErrorCode(
            400, "The Encryption Algorithm you specified is not supported."
        ),
        "InvalidTag": ErrorCode(400, "The tag you provided was not a valid tag."),
        "InvalidStorageClass": ErrorCode(
            400,
            "The storage class you specified is not valid.",
            advice="Use one of Standard, IA, Archive, ColdArchive and DeepColdArchive.",
        ),
        "InvalidDigest": ErrorCode(
            400,
            "The Content-MD5 you specified was invalid.",
            advice="The bytes changed on the way, or the source changed while it was read: send again.",
        ),
        "InvalidCRC64": ErrorCode(
            400,
            "The CRC64 you specified did not match what we received.",
            advice="The bytes changed on the way, or the source changed while it was read: send again.",
        ),
        "IncompleteBody": ErrorCode(
            400, "You did not provide the number of bytes specified by the Content-Length HTTP header."
        ),
        "RequestTimeout": ErrorCode(
            400,
            "Your socket connection to the server was not read from or written to within the timeout period.",
            "0017-00000704",
            "The line stalled: send again, in smaller parts if it happens often.",
            retryable=True,
        ),
        "MissingContentLength": ErrorCode(411, "You must provide the Content-Length HTTP header."),
        "MethodNotAllowed": ErrorCode(
            405, "The specified method is not allowed against this resource.", "0003-00000016"
        ),
        "NotImplemented": ErrorCode(
            400, "A header you provided implies functionality that is not implemented."
        ),
        "MalformedPOSTRequest": ErrorCode(
            400, "The body of your POST request is not well-formed multipart/form-data."
        ),
        "RequestIsNotMultiPartContent": ErrorCode(
            400, "Bucket POST must be of the enclosure-type multipart/form-data."
        ),
        "IncorrectNumberOfFilesInPOSTRequest": ErrorCode(
            400, "POST requires exactly one file upload per request."
        ),
        "FieldItemTooLong": ErrorCode(400, "Your proposed field item exceeds the maximum allowed size."),
        # The service
        "InternalError": ErrorCode(
            500, "We encountered an internal error. Please try again.", advice=_LATER, retryable=True
        ),
        "ServiceUnavailable": ErrorCode(
            503, "Please reduce your request rate.", advice=_LATER, retryable=True
        ),
        "QpsLimitExceeded": ErrorCode(
            503, "Your request has exceeded the QPS limit.", advice=_LATER, retryable=True
        ),
        "UploadTrafficRateLimitExceeded": ErrorCode(
            503, "Your upload traffic has exceeded the limit.", advice=_LATER, retryable=True
        ),
        "DownloadTrafficRateLimitExceeded": ErrorCode(
            503, "Your download traffic has exceeded the limit.", advice=_LATER, retryable=True
        ),
        **{code: ErrorCode(400, message) for code, message in SELECT_ERRORS.items()},
    }
)
