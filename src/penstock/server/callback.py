"""
Callbacks: after an object is stored, OSS posts to a server of the uploader's and hands on its answer.

Described in "Callback" of the OSS documentation. The object stays stored, whatever comes of it. The
requests are not signed with the RSA key of Alibaba Cloud, which nobody else has.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from penstock.errors import ServiceError
from penstock.protocol import percent
from penstock.protocol.error_table import fault
from penstock.protocol.limits import CALLBACK_TIMEOUT_S, MAX_CALLBACK_BYTES, MAX_CALLBACK_URLS
from penstock.server.call import Call, Reply
from penstock.server.store.records import ObjectRecord

_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_QUOTED_VARIABLE = re.compile(r'"?\$\{([^}]*)\}"?')


@dataclass(frozen=True, slots=True)
class Callback:
    """
    What shall be posted, and where.

    Attributes:
        urls: Asked one after the other until one answers.
        host: Value of ``Host``; empty for that of the URL.
        body: With variables (``${object}``) still in it.
        content_type: Of the body.
        variables: The uploader's own, by name (``x:user``).
    """

    urls: tuple[str, ...]
    host: str
    body: str
    content_type: str
    variables: Mapping[str, str]


def read(callback: str | None, variables: str | None) -> Callback | None:
    """
    The callback that a request asks for, or None.

    Args:
        callback: Value of ``x-oss-callback``: JSON in base64.
        variables: Value of ``x-oss-callback-var``, likewise.

    Raises:
        ServiceError: InvalidArgument.
    """
    if callback is None:
        return None
    asked = _decode("callback", callback)
    own = _decode("callback-var", variables) if variables else {}
    urls = tuple(url.strip() for url in str(asked.get("callbackUrl", "")).split(";") if url.strip())
    body = asked.get("callbackBody")
    content_type = asked.get("callbackBodyType", _FORM)
    if not urls or len(urls) > MAX_CALLBACK_URLS or not isinstance(body, str) or not body:
        raise _refused("callback", "callbackUrl (1 to 5) and callbackBody are needed")
    if content_type not in (_FORM, _JSON):
        raise _refused("callback", f"callbackBodyType must be {_FORM} or {_JSON}")
    return Callback(
        tuple(_url(url) for url in urls),
        str(asked.get("callbackHost", "")),
        body,
        content_type,
        # OSS overlooks what is not named so.
        {name: str(value) for name, value in own.items() if name.startswith("x:")},
    )


def answered_by(callback: Callback, call: Call[Any], record: ObjectRecord, reply: Reply) -> Reply:
    """
    The reply to a call that has stored an object: that of the server that is posted to, once it answers.

    The time in which it must answer begins now, however long the posting has to wait for its turn.

    Args:
        callback: What is posted.
        call: What has stored the object.
        record: The object.
        reply: What would be answered without a callback.
    """
    deadline_s = time.monotonic() + CALLBACK_TIMEOUT_S

    def later() -> Reply:
        answer = _carry_out(callback, call, record, deadline_s)
        headers = {**reply.headers, "content-type": "application/json"}
        return replace(reply, headers=headers, body=answer, later=None)

    return replace(reply, later=later)


def _carry_out(callback: Callback, call: Call[Any], record: ObjectRecord, deadline_s: float) -> bytes:
    """
    Post, and give the answer that the uploader gets.

    Raises:
        ServiceError: CallbackFailed (203): no answer in time, another status than 200, or not JSON.
    """
    if call.service.post is None:
        raise _failed("Callbacks are switched off on this server.")
    body = _filled_in(callback, _facts(call, record)).encode()
    why = "Error status : -1. There was no time left to post."
    for url in callback.urls:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            break
        headers = {
            "Content-Type": callback.content_type,
            "User-Agent": "aliyun-oss-callback",
            "Host": callback.host or urlsplit(url).netloc,
            "x-oss-bucket": record.bucket,
            "x-oss-request-id": call.request_id,
        }
        try:
            status, answer = call.service.post(url, headers, body, left_s)
        except (OSError, ValueError) as error:
            why = f"Error status : -1. {type(error).__name__} from {url}"
            continue
        if status != 200:
            raise _failed(f"Error status : {status}.")
        try:
            json.loads(answer)
        except (ValueError, RecursionError):
            raise _failed("Response body is not valid json format.") from None
        return answer
    raise _failed(why)


def _facts(call: Call[Any], record: ObjectRecord) -> dict[str, str]:
    kept = record.attributes
    return {
        "bucket": record.bucket,
        "object": record.key,
        "etag": record.etag,
        "size": str(record.size_bytes),
        "mimeType": kept.content_type or "",
        "crc64": str(record.crc64),
        "contentMd5": call.http.headers.get("content-md5", ""),
        "vpcId": "",
        "clientIp": call.http.peer,
        "reqId": call.request_id,
        "operation": type(call.asked).__name__,
        "imageInfo.height": "",
        "imageInfo.width": "",
        "imageInfo.format": "",
    }


def _filled_in(callback: Callback, facts: Mapping[str, str]) -> str:
    known = {**facts, **callback.variables}
    if callback.content_type == _FORM:
        return _VARIABLE.sub(lambda found: percent.encode(known.get(found[1], "")), callback.body)
    # Bodies of type JSON are written with and without quotes around variables.
    return _QUOTED_VARIABLE.sub(lambda found: _json_value(found[1], known.get(found[1], "")), callback.body)


def _json_value(name: str, value: str) -> str:
    return value if name == "size" else json.dumps(value, ensure_ascii=False)


def _decode(name: str, text: str) -> dict[str, Any]:
    if len(text) > MAX_CALLBACK_BYTES:
        raise _refused(name, f"it is longer than {MAX_CALLBACK_BYTES} bytes")
    try:
        decoded = json.loads(base64.b64decode(text, validate=True))
        # Half a surrogate pair can be written as JSON, but not be sent.
        json.dumps(decoded, ensure_ascii=False).encode()
    except (binascii.Error, ValueError, RecursionError):
        raise _refused(name, "it is not JSON in base64") from None
    if not isinstance(decoded, dict):
        raise _refused(name, "it is not a JSON object")
    return decoded


def _url(text: str) -> str:
    url = text if "://" in text else f"http://{text}"
    try:
        urlsplit(url)
    except ValueError:
        raise _refused("callback", "callbackUrl is not a URL") from None
    return url


def _refused(name: str, why: str) -> ServiceError:
    return fault(
        "InvalidArgument",
        message=f"The {name} configuration is not valid: {why}.",
        ArgumentName=name,
    )


def _failed(message: str) -> ServiceError:
    return fault("CallbackFailed", message=message)
