"""Objects that come by the forms of browsers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Never

from penstock.errors import InvalidInput
from penstock.protocol import names, percent
from penstock.protocol.binding import from_wire
from penstock.protocol.error_table import fault
from penstock.protocol.limits import MAX_SINGLE_PUT_BYTES
from penstock.protocol.operations.forms import PostObject, PostObjectResult
from penstock.protocol.operations.objects import PutObject
from penstock.server import callback
from penstock.server.call import Acceptance, BodyHandler, Call, Reply
from penstock.server.form import FormReader
from penstock.server.guard.post_policy import PostPolicy, read_post_policy
from penstock.server.handlers.attributes import attributes_of, encryption_headers
from penstock.server.handlers.overwriting import overwriting_forbidden
from penstock.server.handlers.worm import check_overwrite
from penstock.server.refusals import refusal_of_name
from penstock.server.store.interface import StagedBlob
from penstock.server.store.records import ObjectRecord


@dataclass(slots=True)
class _Upload:
    """What a form has said so far; `call` is that of whoever signed it, once that is known."""

    call: Call[PostObject]
    asked: PutObject | None = None
    policy: PostPolicy | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


def accept(call: Call[PostObject]) -> Acceptance:
    upload = _Upload(call)
    reader = FormReader(call.asked.content_type, lambda fields: _begin(upload, fields))
    return Acceptance(MAX_SINGLE_PUT_BYTES, None, reader.feed, lambda staged: _store(upload, reader, staged))


def _begin(upload: _Upload, fields: Mapping[str, str]) -> None:
    """Judges the form when its file begins, before a byte of it is taken."""
    call = upload.call
    bucket = call.asked.bucket
    key = fields.get("key", "").replace("${filename}", fields.get("${filename}", ""))
    if not key:
        raise fault("MissingArgument", ArgumentName="key")
    try:
        names.check_key(key)
    except InvalidInput as error:
        raise refusal_of_name("InvalidObjectName", error) from error
    admitted = call.admit(fields, bucket, key)
    call = upload.call = replace(call, caller=admitted.caller, may=admitted.may)
    if fields.get("policy"):
        upload.policy = read_post_policy(fields["policy"])
        upload.policy.check({**fields, "key": key}, bucket, call.service.clock())
    elif not call.caller.anonymous:
        raise fault("MissingArgument", ArgumentName="policy")
    headers = {name: value for name, value in fields.items() if value}
    upload.asked = from_wire(PutObject, (), headers, bucket=bucket, key=key)
    upload.fields = fields
    attributes_of(call, upload.asked)
    callback.read(fields.get("callback"), fields.get("callback-var"))


def _store(upload: _Upload, reader: FormReader, staged: StagedBlob) -> PostObjectResult | Reply:
    call, asked = upload.call, upload.asked
    if asked is None:
        raise fault("IncorrectNumberOfFilesInPOSTRequest")
    if not reader.complete:
        raise fault("MalformedPOSTRequest", ErrorDetail="the form ends within its file")
    if upload.policy is not None:
        upload.policy.check_size(staged.size_bytes)
    attributes = attributes_of(call, asked)
    forbidden = overwriting_forbidden(call, asked.key, asked.forbid_overwrite)
    with check_overwrite(call, asked.key):
        record = call.store.put_object(
            asked.bucket, asked.key, staged, attributes, forbid_overwrite=forbidden
        )
    headers = encryption_headers(attributes)
    wanted = callback.read(upload.fields.get("callback"), upload.fields.get("callback-var"))
    if wanted is not None:
        result = PostObjectResult(etag=record.etag, crc64=record.crc64, version_id=record.version_id)
        return callback.answered_by(wanted, call, record, Reply(result, 200, headers))
    return _reply(call, upload.fields, record, headers)


def _reply(
    call: Call[Any], fields: Mapping[str, str], record: ObjectRecord, headers: Mapping[str, str]
) -> Reply:
    location = f"{call.base}/{record.bucket}/{percent.encode(record.key, keep_slash=True)}"
    result = PostObjectResult(etag=record.etag, crc64=record.crc64, version_id=record.version_id)
    redirect = fields.get("success_action_redirect", "")
    if redirect.startswith(("http://", "https://")) and redirect.isprintable():
        query = percent.format_query(
            [("bucket", record.bucket), ("key", record.key), ("etag", f'"{record.etag}"')]
        )
        target = f"{redirect}{'&' if '?' in redirect else '?'}{query}"
        return Reply(result, 303, {**headers, "location": target}, b"")
    match fields.get("success_action_status"):
        case "200":
            return Reply(result, 200, headers, b"")
        case "201":
            told = PostObjectResult(
                etag=record.etag,
                crc64=record.crc64,
                version_id=record.version_id,
                location=location,
                bucket=record.bucket,
                stored_etag=record.etag,
                key=record.key,
                stored_at=location,
            )
            return Reply(told, 201, headers)
        case _:
            return Reply(result, 204, headers, b"")


def _stored_by_acceptance(call: Call[PostObject], staged: StagedBlob) -> Never:
    raise AssertionError("a form is stored by what accepted it")


BODY_HANDLERS: dict[type, BodyHandler] = {PostObject: BodyHandler(accept, _stored_by_acceptance)}
