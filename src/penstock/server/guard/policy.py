"""
Policies: JSON documents that say who may do what with which objects. Pure.

As in "Bucket Policy" and "RAM Policy" of the OSS documentation: a statement that denies always wins, then
one that allows; where none speaks, others decide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any, Final, Literal

from penstock.errors import InvalidInput, ServiceError
from penstock.protocol import dates
from penstock.protocol.error_table import fault

MAX_POLICY_BYTES: Final = 16 * 1024
Verdict = Literal["Allow", "Deny"]


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What is asked of a policy.

    Attributes:
        principals: Every name that the caller goes by; empty for those who did not sign.
        action: Such as ``oss:GetObject``.
        resource: Such as ``acs:oss:cn-hangzhou:1000:photos/a.jpg``.
        facts: What conditions may look at, by their key in lower case.
    """

    principals: tuple[str, ...]
    action: str
    resource: str
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement; an empty list that begins with ``not_`` is no restriction."""

    effect: Verdict
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    principals: tuple[str, ...] | None = None
    not_principals: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    not_resources: tuple[str, ...] = ()
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()

    def speaks_of(self, asked: Asked) -> bool:
        """Whether the statement is about what is asked."""
        if not self._names(asked.principals):
            return False
        if self.actions and not _any(self.actions, asked.action, ignore_case=True):
            return False
        if self.not_actions and _any(self.not_actions, asked.action, ignore_case=True):
            return False
        if self.resources and not _any(self.resources, asked.resource):
            return False
        if self.not_resources and _any(self.not_resources, asked.resource):
            return False
        return all(
            _holds(operator, values, asked.facts.get(key)) for operator, key, values in self.conditions
        )

    @property
    def opens_to_everybody(self) -> bool:
        """Whether it allows something to whoever asks, from anywhere."""
        from_somewhere = any(key in ("acs:sourceip", "acs:sourcevpc") for _, key, _ in self.conditions)
        named = self.principals is not None and "*" not in self.principals and not self.not_principals
        return self.effect == "Allow" and not named and not from_somewhere

    def _names(self, principals: Sequence[str]) -> bool:
        if self.not_principals:
            return not any(_any(self.not_principals, name) for name in principals)
        if self.principals is None or "*" in self.principals:
            return True
        return any(_any(self.principals, name) for name in principals)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy that was read."""

    statements: tuple[Statement, ...]

    def verdict(self, asked: Asked) -> Verdict | None:
        """What the policy says; None if it says nothing of it."""
        effects = {one.effect for one in self.statements if one.speaks_of(asked)}
        return "Deny" if "Deny" in effects else "Allow" if effects else None

    @property
    def is_public(self) -> bool:
        """Whether it lets everybody in."""
        return any(one.opens_to_everybody for one in self.statements)


def read_policy(document: bytes, *, names_principals: bool = True) -> Policy:
    """
    Read a policy.

    Args:
        document: JSON.
        names_principals: True for the policy of a bucket, whose statements say whom they are about. One that
            does not say it is about everybody, as OSS shows by calling such a policy public.

    Raises:
        ServiceError: InvalidPolicyDocument.
    """
    if len(document) > MAX_POLICY_BYTES:
        raise _refused(f"it is larger than {MAX_POLICY_BYTES} bytes")
    try:
        read = json.loads(document)
    except (ValueError, RecursionError):
        raise _refused("it is not JSON") from None
    if not isinstance(read, dict) or read.get("Version") != "1":
        raise _refused('its Version must be "1"')
    statements = read.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        raise _refused("it needs a list of statements")
    return Policy(tuple(_statement(one, names_principals) for one in statements))


def _statement(given: Any, names_principals: bool) -> Statement:
    if not isinstance(given, dict) or given.get("Effect") not in ("Allow", "Deny"):
        raise _refused("Effect must be Allow or Deny")
    if not ("Action" in given) ^ ("NotAction" in given):
        raise _refused("a statement needs Action or NotAction")
    if not ("Resource" in given) ^ ("NotResource" in given):
        raise _refused("a statement needs Resource or NotResource")
    if names_principals and "Principal" in given and "NotPrincipal" in given:
        raise _refused("a statement has Principal or NotPrincipal, not both")
    if not names_principals and ("Principal" in given or "NotPrincipal" in given):
        raise _refused("a statement about a user names no principal")
    return Statement(
        given["Effect"],
        _texts(given.get("Action"), "Action"),
        _texts(given.get("NotAction"), "NotAction"),
        _principals(given["Principal"], "Principal") if "Principal" in given else None,
        _principals(given.get("NotPrincipal"), "NotPrincipal"),
        _texts(given.get("Resource"), "Resource"),
        _texts(given.get("NotResource"), "NotResource"),
        _conditions(given.get("Condition")),
    )


def _principals(given: Any, name: str) -> tuple[str, ...]:
    if isinstance(given, dict):
        return tuple(one for values in given.values() for one in _texts(values, name))
    return _texts(given, name)


def _texts(given: Any, name: str) -> tuple[str, ...]:
    if given is None:
        return ()
    values = [given] if isinstance(given, str) else given
    if not isinstance(values, list) or not values or not all(isinstance(one, str) and one for one in values):
        raise _refused(f"{name} must be a text, or a list of texts")
    return tuple(values)


def _conditions(given: Any) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    if given is None:
        return ()
    if not isinstance(given, dict) or not all(isinstance(keys, dict) for keys in given.values()):
        raise _refused("Condition must be an object of objects")
    found = []
    for operator, keys in given.items():
        if operator not in _OPERATORS:
            raise _refused(f"{operator} is not an operator of conditions")
        for key, values in keys.items():
            listed = values if isinstance(values, list) else [values]
            texts = tuple(str(value).lower() if isinstance(value, bool) else str(value) for value in listed)
            found.append((operator, key.lower(), texts))
    return tuple(found)


@lru_cache(maxsize=4096)
def _pattern(text: str, ignore_case: bool = False) -> re.Pattern[str]:
    first, *others = (
        "".join("." if sign == "?" else re.escape(sign) for sign in run) for run in text.split("*")
    )
    # The first place where a run fits is as good as any later one. Atomic groups never look for another:
    # else a pattern of many stars would take for ever, and the server with it.
    expression = (
        first + "".join(f"(?>.*?{run})" for run in others[:-1]) + "".join(f".*{run}" for run in others[-1:])
    )
    return re.compile(expression, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def like(pattern: str, text: str, *, ignore_case: bool = False) -> bool:
    """Whether a text is what a pattern says, in which ``*`` is any text and ``?`` any sign."""
    return _pattern(pattern, ignore_case).fullmatch(text) is not None


def _any(patterns: Sequence[str], text: str, *, ignore_case: bool = False) -> bool:
    return any(like(pattern, text, ignore_case=ignore_case) for pattern in patterns)


def _holds(operator: str, values: Sequence[str], found: str | None) -> bool:
    compare, negated = _OPERATORS[operator]
    if found is None:
        return negated
    return any(_compared(compare, value, found) for value in values) is not negated


def _compared(compare: Callable[[str, str], bool], value: str, found: str) -> bool:
    try:
        return compare(value, found)
    except (ValueError, InvalidInput):
        return False


def _address_in(network: str, address: str) -> bool:
    return ip_address(address) in ip_network(network, strict=False)


def _order(kind: Callable[[str], float], holds: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    return lambda value, found: holds(kind(found), kind(value))


def _moment(text: str) -> float:
    return float(dates.from_iso(text))


def _same(value: str, found: str) -> bool:
    return value == found


def _same_letters(value: str, found: str) -> bool:
    return value.lower() == found.lower()


_OPERATORS: dict[str, tuple[Callable[[str, str], bool], bool]] = {
    "StringEquals": (_same, False),
    "StringNotEquals": (_same, True),
    "StringEqualsIgnoreCase": (_same_letters, False),
    "StringNotEqualsIgnoreCase": (_same_letters, True),
    "StringLike": (like, False),
    "StringNotLike": (like, True),
    "Bool": (_same_letters, False),
    "IpAddress": (_address_in, False),
    "NotIpAddress": (_address_in, True),
}
for _name, _kind in (("Numeric", float), ("Date", _moment)):
    _OPERATORS |= {
        f"{_name}Equals": (_order(_kind, lambda found, value: found == value), False),
        f"{_name}NotEquals": (_order(_kind, lambda found, value: found == value), True),
        f"{_name}LessThan": (_order(_kind, lambda found, value: found < value), False),
        f"{_name}LessThanEquals": (_order(_kind, lambda found, value: found <= value), False),
        f"{_name}GreaterThan": (_order(_kind, lambda found, value: found > value), False),
        f"{_name}GreaterThanEquals": (_order(_kind, lambda found, value: found >= value), False),
    }


def _refused(why: str) -> ServiceError:
    return fault("InvalidPolicyDocument", message=f"The policy is not valid: {why}.")
