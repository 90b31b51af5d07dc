"""
Errors of OSS in both directions: what a server answers with, and what a client makes of an answer.

>>> fault("NoSuchKey", resource="oss://photos/a.jpg", Key="a.jpg").status
404
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from penstock.errors import ServiceError
from penstock.protocol.error_codes import ERROR_CODES
from penstock.protocol.xml import XmlUnreadable, escaped, parse

MAX_ERROR_BYTES: Final = 64 * 1024
"""No error document is larger; what is, is not read."""

_RETRYABLE_STATUSES: Final = frozenset({408, 429, 500, 502, 503, 504})
_CODE_OF_EC = {entry.ec: code for code, entry in ERROR_CODES.items() if entry.ec}
_FIXED_ELEMENTS: Final = ("Code", "Message", "RequestId", "HostId", "EC", "RecommendDoc")
_TOKEN: Final = re.compile(r"(security-token[:=])[^\n&]+")


def fault(
    code: str,
    *,
    message: str | None = None,
    ec: str | None = None,
    status: int | None = None,
    resource: str = "",
    **fields: str | int,
) -> ServiceError:
    """
    Give the error that a server raises and answers with.

    Args:
        code: One of `ERROR_CODES`; any other is a mistake of the caller's (KeyError).
        message: What OSS says, if it is not what it says by default.
        ec: The fine-grained code, likewise.
        status: HTTP status, likewise.
        resource: ``oss://bucket/key`` that was asked for.
        **fields: Elements of the document that this error has beside the usual ones, such as ``Key``.
    """
    entry = ERROR_CODES[code]
    answered = entry.status if status is None else status
    return ServiceError.class_for(code, answered)(
        entry.message if message is None else message,
        status=answered,
        code=code,
        ec=entry.ec if ec is None else ec,
        fields={name: str(value) for name, value in fields.items()},
        resource=resource,
        advice=entry.advice,
    )


def error_from_response(
    status: int,
    code: str,
    message: str,
    *,
    request_id: str = "",
    ec: str = "",
    host_id: str = "",
    fields: Mapping[str, str] | None = None,
    resource: str = "",
) -> ServiceError:
    """
    Give the error that a client raises, of the most specific class, with advice where there is some.

    Security tokens that OSS repeats in ``StringToSign`` or ``CanonicalRequest`` are blotted out.
    """
    kept = {
        name: _TOKEN.sub(r"\1***", value)
        for name, value in (fields or {}).items()
        if name not in ("StringToSignBytes", "CanonicalRequestBytes")
    }
    return ServiceError.class_for(code, status)(
        message,
        status=status,
        code=code,
        request_id=request_id,
        ec=ec,
        host_id=host_id,
        fields=kept,
        resource=resource,
        advice=_advice(code, kept),
    )


def error_from_answer(
    status: int, headers: Mapping[str, str], body: bytes, *, resource: str = ""
) -> ServiceError:
    """
    Give the error that a whole answer amounts to, whatever it is made of.

    The document is taken from the body, or from ``x-oss-err`` where the answer to a HEAD carries it. An
    answer that is not from OSS (a proxy's page, say) is named by its status, and quoted.

    Args:
        status: HTTP status.
        headers: With names in lower case.
        body: As much as came; beyond `MAX_ERROR_BYTES` it is not looked at.
        resource: ``oss://bucket/key`` that was asked for.
    """
    found = parse_error_xml(body) or parse_error_header(headers.get("x-oss-err", ""))
    ec = found.pop("EC", "") or headers.get("x-oss-ec", "")
    code = found.pop("Code", "") or _CODE_OF_EC.get(ec, "") or _name_of(status)
    message = found.pop("Message", "")
    if not message:
        quoted = body[:200].decode("utf-8", "replace").strip()
        known = ERROR_CODES.get(code)
        message = (
            f"not an error document of OSS: {quoted!r}"
            if quoted
            else known.message
            if known
            else "no details"
        )
    return error_from_response(
        status,
        code,
        message,
        request_id=found.pop("RequestId", "") or headers.get("x-oss-request-id", ""),
        ec=ec,
        host_id=found.pop("HostId", ""),
        fields=found,
        resource=resource,
    )


def retryable(status: int, code: str = "") -> bool:
    """
    Say whether the same request may well succeed a little later.

    ``RequestTimeTooSkewed`` is not: it needs another time in the signature, hence another request.
    """
    entry = ERROR_CODES.get(code)
    return status in _RETRYABLE_STATUSES or (entry is not None and entry.retryable)


def error_xml(error: ServiceError, *, request_id: str = "", host_id: str = "") -> bytes:
    """
    Write the document that OSS answers an error with.

    Args:
        error: Its own request id and host id are written if it has them, else those given here.
        request_id: 24 hexadecimal characters.
        host_id: The host that was asked.
    """
    elements = {
        "Code": error.code,
        "Message": error.message,
        "RequestId": error.request_id or request_id,
        "HostId": error.host_id or host_id,
        **{name: value for name, value in error.fields.items() if name not in _FIXED_ELEMENTS},
    }
    if error.ec:
        elements["EC"] = error.ec
        elements["RecommendDoc"] = f"https://api.aliyun.com/troubleshoot?q={error.ec}"
    lines = [f"  <{name}>{escaped(text)}</{name}>" for name, text in elements.items()]
    document = ['<?xml version="1.0" encoding="UTF-8"?>', "<Error>", *lines, "</Error>", ""]
    return "\n".join(document).encode("utf-8", "replace")


def error_header(error: ServiceError, *, request_id: str = "", host_id: str = "") -> str:
    """Write the document of `error_xml` as the value of ``x-oss-err``, for answers to HEAD."""
    return base64.b64encode(error_xml(error, request_id=request_id, host_id=host_id)).decode("ascii")


def parse_error_xml(document: bytes) -> dict[str, str]:
    """
    Read the elements of an error document, by name and in order; empty if it is not one.

    Never raises: anything may stand where an error document should.
    """
    if not document or len(document) > MAX_ERROR_BYTES or b"<Error" not in document:
        return {}
    try:
        root = parse(document)
    except XmlUnreadable:
        return {}
    if root.tag.rpartition("}")[2] != "Error":
        return {}
    return {element.tag.rpartition("}")[2]: element.text or "" for element in root}


def parse_error_header(value: str) -> dict[str, str]:
    """Read the elements out of ``x-oss-err``; empty if they are not there."""
    try:
        document = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return {}
    return parse_error_xml(document)


def _advice(code: str, fields: Mapping[str, str]) -> str:
    entry = ERROR_CODES.get(code)
    advice = entry.advice if entry else ""
    if code == "AccessDenied" and fields.get("Endpoint"):
        return f"The bucket is elsewhere: use the endpoint {fields['Endpoint']}."
    if code == "RequestTimeTooSkewed" and fields.get("ServerTime"):
        return f"{advice} It is {fields['ServerTime']} there."
    return advice


def _name_of(status: int) -> str:
    try:
        return re.sub(r"[^A-Za-z]", "", HTTPStatus(status).phrase.title())
    except ValueError:
        return f"Status{status}"
