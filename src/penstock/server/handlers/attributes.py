"""What is kept with an object: from the headers of a request, and into those of an answer."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from penstock.errors import InvalidInput
from penstock.protocol import names
from penstock.protocol.error_table import fault
from penstock.protocol.limits import MAX_METADATA_BYTES
from penstock.protocol.operations.headers import NewObjectHeaders, ObjectDescription
from penstock.server.call import Call
from penstock.server.handlers.object_worm import described as worm_described
from penstock.server.handlers.object_worm import worm_of
from penstock.server.handlers.restoring import restore_info
from penstock.server.refusals import refusal_of_name
from penstock.server.store.records import Attributes, ObjectKind, ObjectRecord

STORAGE_CLASSES = frozenset({"Standard", "IA", "Archive", "ColdArchive", "DeepColdArchive"})
BUCKET_ACLS = frozenset({"private", "public-read", "public-read-write"})
OBJECT_ACLS = BUCKET_ACLS | {"default"}
_DEFAULT_TYPE = "application/octet-stream"
ENCRYPTIONS = frozenset({"AES256", "KMS", "SM4"})
_ENCRYPTION = "x-oss-server-side-encryption"
_ENCRYPTION_KEY = "x-oss-server-side-encryption-key-id"
_DATA_ENCRYPTION = "x-oss-server-side-data-encryption"
_DEFAULT_KMS_KEY = "7d1f4c1e-5b0f-5c6e-9a55-70656e73746f"
"""Id that is answered where KMS encrypts with a key that nobody named."""

_CLIENT_ENCRYPTION = "client-side-encryption-"
"""User metadata of those who encrypt before they send; without it nobody can read the object any more."""

_VERSION_ID = re.compile(r"null|[A-Za-z0-9._]{32,}")


def attributes_of(call: Call[Any], asked: NewObjectHeaders) -> Attributes:
    """
    What a request says about the object that it makes.

    Raises:
        ServiceError: An access list, storage class, tag or encryption that OSS does not know, too much
            metadata, or tags from whom may not put tags.
    """
    check_metadata(asked.metadata)
    if asked.tags:
        call.may("PutObjectTagging", asked.bucket, asked.key)
    extra = {**_encryption_of(call, asked), **worm_of(call, asked)}
    return Attributes(
        content_type=asked.content_type or _DEFAULT_TYPE,
        cache_control=asked.cache_control,
        content_disposition=asked.content_disposition,
        content_encoding=asked.content_encoding,
        content_language=asked.content_language,
        expires=asked.expires,
        user_metadata=dict(asked.metadata),
        storage_class=storage_class_of(call, asked.storage_class),
        acl=object_acl(asked.acl),
        tags=object_tags(asked.tags or {}),
        extra=extra,
    )


def _encryption_of(call: Call[Any], asked: NewObjectHeaders) -> dict[str, str]:
    """How the object is encrypted: as it asks for, else as its bucket says. Kept and told, not done."""
    algorithm, key_id = asked.server_side_encryption, asked.server_side_encryption_key_id
    data_encryption = asked.server_side_data_encryption
    default = call.rules.encryption
    if algorithm is None and default is not None:
        algorithm, key_id, data_encryption = default.algorithm, default.key_id, default.data_encryption
    if algorithm is None:
        return {}
    if algorithm not in ENCRYPTIONS or data_encryption not in (None, "SM4"):
        raise fault("InvalidEncryptionAlgorithmError")
    kept = {_ENCRYPTION: algorithm}
    if algorithm == "KMS":
        kept[_ENCRYPTION_KEY] = key_id or _DEFAULT_KMS_KEY
        if data_encryption is not None:
            kept[_DATA_ENCRYPTION] = data_encryption
    return kept


def check_version_id(given: str | None) -> None:
    """Refuse what cannot be the id of a version."""
    if given and not _VERSION_ID.fullmatch(given):
        raise fault(
            "InvalidArgument",
            message="Invalid version id specified",
            ArgumentName="versionId",
            ArgumentValue=given[:1024],
        )


def storage_class_of(call: Call[Any], given: str | None) -> str:
    """The class that is given, else that of the bucket."""
    if given is None:
        return call.bucket.storage_class if call.bucket else "Standard"
    if given not in STORAGE_CLASSES:
        raise fault("InvalidStorageClass", StorageClass=given)
    return given


def object_acl(given: str | None) -> str:
    """The access list that is given, else ``default``."""
    if given is not None and given not in OBJECT_ACLS:
        raise no_such_acl("x-oss-object-acl", given)
    return given or "default"


def bucket_acl(given: str | None) -> str:
    """The access list that is given, else ``private``."""
    if given is not None and given not in BUCKET_ACLS:
        raise no_such_acl("x-oss-acl", given)
    return given or "private"


def check_block(acl: str, *, blocked: bool) -> None:
    """Refuse an access list that lets the public in, where public access is off."""
    if blocked and acl.startswith("public"):
        raise fault("AccessDenied", message="Put public acl is not allowed.", ec="0003-00000903")


def no_such_acl(name: str, value: str) -> Exception:
    """The refusal of an access list that OSS does not know."""
    return fault(
        "InvalidArgument",
        message="no such bucket access control exists"
        if name == "x-oss-acl"
        else "no such object access control exists",
        ArgumentName=name,
        ArgumentValue=value,
    )


def object_tags(tags: Mapping[str, str], *, for_bucket: bool = False) -> Mapping[str, str]:
    """The tags, if they are such as OSS takes."""
    try:
        names.check_tags(tags, for_bucket=for_bucket)
    except InvalidInput as error:
        raise refusal_of_name("InvalidTag", error) from error
    return dict(tags)


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Refuse more than 8 KiB of user metadata."""
    size = sum(len("x-oss-meta-") + len(name) + len(value.encode()) for name, value in metadata.items())
    if size > MAX_METADATA_BYTES:
        raise fault(
            "InvalidArgument",
            message=f"The user metadata has {size} bytes; at most {MAX_METADATA_BYTES} are allowed.",
            ArgumentName="x-oss-meta-",
        )


def moment(modified_ms: int) -> datetime:
    """A time of the store as one of the protocol, which has whole seconds."""
    return datetime.fromtimestamp(modified_ms // 1000, UTC)


def describe(record: ObjectRecord, now_s: float) -> ObjectDescription:
    """What Get and Head say of an object as a whole."""
    kept = record.attributes
    return ObjectDescription(
        content_bytes=record.size_bytes,
        content_type=kept.content_type or _DEFAULT_TYPE,
        cache_control=kept.cache_control,
        content_disposition=kept.content_disposition,
        content_encoding=kept.content_encoding,
        content_language=kept.content_language,
        expires=kept.expires,
        content_md5=content_md5(record),
        etag=record.etag,
        crc64=record.crc64,
        last_modified=moment(record.modified_ms),
        metadata=kept.user_metadata,
        object_type=record.kind.value,
        storage_class=kept.storage_class,
        next_append_position=record.size_bytes if record.kind is ObjectKind.APPENDABLE else None,
        tag_count=len(kept.tags) or None,
        version_id=record.version_id,
        restore=restore_info(kept, now_s),
        **encryption(kept),
        **worm_described(kept),
    )


def content_md5(record: ObjectRecord) -> str | None:
    """The MD5 of an object that was put in one piece or in sequence, as ``Content-MD5`` has it."""
    known = record.attributes.md5
    if known is None and record.kind is ObjectKind.NORMAL and len(record.etag) == 32:
        known = record.etag
    return base64.b64encode(bytes.fromhex(known)).decode() if known is not None else None


def encryption(kept: Attributes) -> dict[str, Any]:
    """The encryption that was asked for when the object was made."""
    return {
        "server_side_encryption": kept.extra.get(_ENCRYPTION),
        "server_side_encryption_key_id": kept.extra.get(_ENCRYPTION_KEY),
        "server_side_data_encryption": kept.extra.get(_DATA_ENCRYPTION),
    }


def client_encryption(kept: Attributes) -> dict[str, Any]:
    """What ListParts says of an upload whose sender encrypts."""

    def said(name: str) -> str | None:
        return kept.user_metadata.get(f"{_CLIENT_ENCRYPTION}{name}")

    def size(name: str) -> int | None:
        text = said(name) or ""
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None

    return {
        "client_encryption_key": said("key"),
        "client_encryption_start": said("start"),
        "client_encryption_cipher": said("cek-alg"),
        "client_encryption_wrap": said("wrap-alg"),
        "client_encryption_data_bytes": size("data-size"),
        "client_encryption_part_bytes": size("part-size"),
    }


def metadata_of_copy(source: Mapping[str, str], given: Mapping[str, str]) -> Mapping[str, str]:
    """The user metadata that replaces that of a copied object; how its bytes are encrypted stays."""
    kept = {name: value for name, value in source.items() if name.startswith(_CLIENT_ENCRYPTION)}
    return {**kept, **given}


def encryption_headers(kept: Attributes) -> dict[str, str]:
    """The same as headers of an answer."""
    return {
        name: kept.extra[name]
        for name in (_ENCRYPTION, _ENCRYPTION_KEY, _DATA_ENCRYPTION)
        if name in kept.extra
    }
