"""
Takes apart the forms that browsers upload with (``multipart/form-data``), piece by piece. No I/O.

Fields are kept; the bytes of the file are handed on as they come. The file must be the last field: what
follows it is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, Literal

from penstock.errors import ServiceError
from penstock.protocol.error_table import fault

MOST_FIELD_BYTES: Final = 64 * 1024
MOST_FIELDS: Final = 200
_MOST_HEAD_BYTES: Final = 8 * 1024
_PARAMETER = re.compile(r';\s*([A-Za-z*]+)="((?:[^"\\]|\\.)*)"')
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)

State = Literal["between", "head", "field", "file", "end"]


class FormReader:
    """
    Reads one form.

    Args:
        content_type: Of the request; it names what stands between the fields.
        on_file: Called with all fields as soon as the file begins; it may raise to refuse the form.

    Raises:
        ServiceError: RequestIsNotMultiPartContent.
    """

    def __init__(self, content_type: str, on_file: Callable[[Mapping[str, str]], None]) -> None:
        found = _BOUNDARY.search(content_type)
        if not content_type.lower().startswith("multipart/form-data") or found is None:
            raise fault("RequestIsNotMultiPartContent")
        self._between = b"\r\n--" + (found[1] or found[2]).encode()
        self._on_file = on_file
        # The first delimiter has no line end in front of it.
        self._buffer = bytearray(b"\r\n")
        self._state: State = "between"
        self._name = ""
        self._fields: dict[str, str] = {}
        self.file_seen = False

    @property
    def complete(self) -> bool:
        """Whether the file has come to its end."""
        return self.file_seen and self._state == "end"

    def feed(self, data: bytes | bytearray | memoryview) -> bytes:
        """
        Take the next bytes of the form, and give those of the file that are among them.

        Raises:
            ServiceError: MalformedPOSTRequest, FieldItemTooLong, or what ``on_file`` raises.
        """
        if self._state == "end":
            return b""
        self._buffer += data
        file = bytearray()
        while self._step(file):
            pass
        return bytes(file)

    def _step(self, file: bytearray) -> bool:
        """One step on; False if more bytes are needed for it."""
        if self._state == "between":
            return self._pass_delimiter()
        if self._state == "head":
            return self._read_head()
        if self._state == "field":
            return self._read_field()
        if self._state == "file":
            return self._read_file(file)
        return False

    def _pass_delimiter(self) -> bool:
        buffer, size = self._buffer, len(self._between)
        if len(buffer) < size + 2:
            return False
        if not buffer.startswith(self._between):
            raise _malformed("the first field does not begin with the boundary")
        ending = bytes(buffer[size : size + 2])
        del buffer[: size + 2]
        if ending == b"--" or self.file_seen:
            self._state = "end"
            buffer.clear()
            return False
        if ending != b"\r\n":
            raise _malformed("a boundary does not end its line")
        self._state = "head"
        return True

    def _read_head(self) -> bool:
        at = self._buffer.find(b"\r\n\r\n")
        if at < 0:
            if len(self._buffer) > _MOST_HEAD_BYTES:
                raise _malformed("the head of a field is too long")
            return False
        try:
            lines = self._buffer[:at].decode().split("\r\n")
        except UnicodeDecodeError:
            raise _malformed("the head of a field is not UTF-8") from None
        del self._buffer[: at + 4]
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
        }
        given = dict(_PARAMETER.findall(headers.get("content-disposition", "")))
        self._name = given.get("name", "")
        if not self._name:
            raise _malformed("a field has no name")
        if self._name == "file":
            self._fields.setdefault("content-type", headers.get("content-type", ""))
            name = given.get("filename", "").replace("\\", "/").rpartition("/")[2]
            self._fields["${filename}"] = name
            self.file_seen = True
            self._on_file(self._fields)
            self._state = "file"
        else:
            self._state = "field"
        return True

    def _read_field(self) -> bool:
        at = self._buffer.find(self._between)
        if at > MOST_FIELD_BYTES or (at < 0 and len(self._buffer) > MOST_FIELD_BYTES):
            raise fault("FieldItemTooLong", MaxSizeAllowed=MOST_FIELD_BYTES)
        if at < 0:
            return False
        if len(self._fields) >= MOST_FIELDS:
            raise _malformed(f"there are more than {MOST_FIELDS} fields")
        self._fields[self._name.lower()] = self._buffer[:at].decode("utf-8", "replace")
        del self._buffer[:at]
        self._state = "between"
        return True

    def _read_file(self, file: bytearray) -> bool:
        at = self._buffer.find(self._between)
        if at >= 0:
            file += self._buffer[:at]
            del self._buffer[:at]
            self._state = "between"
            return True
        # The end of what is here may be the beginning of the boundary.
        safe = max(0, len(self._buffer) - len(self._between) + 1)
        file += self._buffer[:safe]
        del self._buffer[:safe]
        return False


def _malformed(why: str) -> ServiceError:
    return fault("MalformedPOSTRequest", ErrorDetail=why)
