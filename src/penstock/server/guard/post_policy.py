"""What the signer of a form allows to be uploaded with it: the policy within the form. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.errors import InvalidInput, ServiceError
from penstock.protocol import dates
from penstock.protocol.error_table import fault


@dataclass(frozen=True, slots=True)
class PostPolicy:
    """
    A policy that was read.

    Attributes:
        least_bytes, most_bytes: Allowed length of the file; None for any.
    """

    expires_s: int
    conditions: tuple[tuple[str, str, Any], ...]
    least_bytes: int = 0
    most_bytes: int | None = None

    def check(self, fields: Mapping[str, str], bucket: str, now_s: float) -> None:
        """
        Refuse a form that the policy does not allow.

        Raises:
            ServiceError: AccessDenied.
        """
        if self.expires_s <= now_s:
            raise _denied("Policy expired.")
        given = {**fields, "bucket": bucket}
        for kind, name, wanted in self.conditions:
            value = given.get(name, "")
            if not _holds(kind, value, wanted):
                raise _denied(f'Policy Condition failed: ["{kind}", "${name}", {json.dumps(wanted)}]')

    def check_size(self, size_bytes: int) -> None:
        """Refuse a file that is shorter or longer than allowed."""
        if size_bytes < self.least_bytes:
            raise fault("EntityTooSmall", ProposedSize=size_bytes, MinSizeAllowed=self.least_bytes)
        if self.most_bytes is not None and size_bytes > self.most_bytes:
            raise fault("EntityTooLarge", ProposedSize=size_bytes, MaxSizeAllowed=self.most_bytes)


def read_post_policy(text: str) -> PostPolicy:
    """
    Read the field ``policy``: JSON in base64.

    Raises:
        ServiceError: InvalidPolicyDocument.
    """
    try:
        read = json.loads(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise _invalid("it is not JSON in base64") from None
    if not isinstance(read, dict) or not isinstance(read.get("conditions"), list):
        raise _invalid("it has no conditions")
    try:
        expires_s = dates.from_iso(str(read.get("expiration", "")))
    except InvalidInput:
        raise _invalid("its expiration is not a time") from None
    conditions: list[tuple[str, str, Any]] = []
    least, most = 0, None
    for one in read["conditions"]:
        if isinstance(one, dict):
            conditions.extend(("eq", name.lower(), value) for name, value in one.items())
        elif isinstance(one, list) and len(one) == 3 and one[0] == "content-length-range":
            least, most = _sizes(one)
        elif isinstance(one, list) and len(one) == 3 and one[0] in ("eq", "starts-with", "in", "not-in"):
            conditions.append((one[0], str(one[1]).removeprefix("$").lower(), one[2]))
        else:
            raise _invalid("a condition is not one that OSS knows")
    return PostPolicy(expires_s, tuple(conditions), least, most)


def _sizes(given: list[Any]) -> tuple[int, int]:
    if not all(isinstance(one, int) and one >= 0 for one in given[1:]) or given[1] > given[2]:
        raise _invalid("content-length-range is not a range")
    return given[1], given[2]


def _holds(kind: str, value: str, wanted: Any) -> bool:
    match kind:
        case "eq":
            return value == str(wanted)
        case "starts-with":
            return value.startswith(str(wanted))
        case "in":
            return isinstance(wanted, list) and value in wanted
        case _:
            return isinstance(wanted, list) and value not in wanted


def _denied(why: str) -> ServiceError:
    return fault("AccessDenied", message=f"Invalid according to Policy: {why}")


def _invalid(why: str) -> ServiceError:
    return fault("InvalidPolicyDocument", message=f"Invalid Policy: {why}.")
