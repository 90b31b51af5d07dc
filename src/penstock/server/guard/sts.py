"""
Temporary keys: AssumeRole, as the security token service of Alibaba Cloud answers it.

A request is ``/?Action=AssumeRole&...`` signed by the rules of that service (HMAC-SHA1 over all
parameters), and comes by GET or POST to the address of the server itself; a POST may have parameters in its
body, as a form. What is issued ends with the server at the latest.

There are no roles: whoever may assume one (a user without a policy, or whose policy allows
``sts:AssumeRole``) gets keys that may do what the user may, or less.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec import Struct

from penstock.errors import InvalidInput, ServiceError
from penstock.protocol import dates, percent
from penstock.protocol.limits import MAX_CLOCK_SKEW_S
from penstock.server.guard.accounts import Caller, User
from penstock.server.guard.policy import Asked, Policy, read_policy

LEAST_S: Final = 900
MOST_S: Final = 43_200
_DEFAULT_S: Final = 3_600
_MOST_POLICY: Final = 2_048
"""Characters of a policy; it travels with every request that is signed with the keys."""

_ID_CUT: Final = len("STS.") + 16


@dataclass(frozen=True, slots=True)
class Temporary:
    """Keys that end at a time."""

    access_key_id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    expires_s: int
    account: str
    session: str
    policies: tuple[Policy, ...]

    def caller(self, *, by_url: bool) -> Caller:
        return Caller(self.access_key_id, self.account, (self.session,), self.policies, by_url)


class _Content(Struct, frozen=True):
    """What a token says, readable to whoever has it, and sealed."""

    access_key_id: str
    expires_s: int
    user: str
    session: str
    policy: str | None


class Tokens:
    """
    Issues temporary keys, and knows them again by what they say themselves.

    Nothing of them is kept, so all processes of a server know them that have the same seal.

    Args:
        seal: Secret bytes; None for new ones.
    """

    def __init__(self, seal: bytes | None = None) -> None:
        self._seal = seal or secrets.token_bytes(32)

    def secret_of(self, access_key_id: str) -> str | None:
        """The secret to an id that was issued here, also after its time; None for any other id."""
        if not hmac.compare_digest(access_key_id.encode(), self._sealed_id(access_key_id[:_ID_CUT]).encode()):
            return None
        return self._mac("secret", access_key_id.encode())

    def open(self, access_key_id: str, token: str, users: Mapping[str, User]) -> Temporary | None:
        """What a token says; None if it is not the one that was issued with this id, or its user is gone."""
        text, _, mac = token.partition(".")
        if not hmac.compare_digest(mac.encode(), self._mac("token", text.encode()).encode()):
            return None
        content = msgspec.json.decode(base64.urlsafe_b64decode(text), type=_Content)
        user = users.get(content.user)
        if content.access_key_id != access_key_id or user is None:
            return None
        policies = [user.policy] if user.policy else []
        if content.policy is not None:
            policies.append(read_policy(content.policy.encode(), names_principals=False))
        return Temporary(
            access_key_id=access_key_id,
            secret=self._mac("secret", access_key_id.encode()),
            token=token,
            expires_s=content.expires_s,
            account=user.account,
            session=content.session,
            policies=tuple(policies),
        )

    def issue(self, user: str, session: str, *, expires_s: int, policy: str | None) -> tuple[str, str, str]:
        """
        Make an access key id, its secret and its token.

        They may do what the user (an access key id) may, and what the text of a policy allows of it.
        """
        access_key_id = self._sealed_id(f"STS.{secrets.token_hex(8)}")
        content = _Content(access_key_id, expires_s, user, session, policy)
        text = base64.urlsafe_b64encode(msgspec.json.encode(content)).decode()
        secret = self._mac("secret", access_key_id.encode())
        return access_key_id, secret, f"{text}.{self._mac('token', text.encode())}"

    def _sealed_id(self, beginning: str) -> str:
        return beginning + hmac.digest(self._seal, b"id:" + beginning.encode(), "sha256").hex()[:8]

    def _mac(self, purpose: str, data: bytes) -> str:
        digest = hmac.digest(self._seal, purpose.encode() + b":" + data, "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service answers: a status and a JSON or XML document."""

    status: int
    content_type: str
    body: bytes


class StsRefused(Exception):
    """The service says no, with a code of its own."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def assume_role(
    method: str,
    parameters: Mapping[str, str],
    users: Mapping[str, User],
    tokens: Tokens,
    *,
    facts: Mapping[str, str],
    request_id: str,
    now_s: float,
) -> Answer:
    """
    Answer a request for temporary keys.

    Args:
        method: GET or POST.
        parameters: Of the query and the form, decoded.
        users: By access key id; their accounts are filled in.
        tokens: Makes the keys.
        facts: What the conditions of a user's policy look at.
    """
    try:
        made = _wanted(method, parameters, users, facts, now_s)
    except StsRefused as refused:
        content = {"RequestId": request_id, "Code": refused.code, "Message": refused.message}
        return _document(refused.status, "Error", content, parameters)
    session = made.session
    access_key_id, secret, token = tokens.issue(
        made.user, session, expires_s=made.expires_s, policy=made.policy
    )
    issued: dict[str, object] = {
        "RequestId": request_id,
        "AssumedRoleUser": {"Arn": session, "AssumedRoleId": session.rpartition("/")[2]},
        "Credentials": {
            "AccessKeyId": access_key_id,
            "AccessKeySecret": secret,
            "SecurityToken": token,
            "Expiration": dates.to_iso(made.expires_s).replace(".000Z", "Z"),
        },
    }
    return _document(200, "AssumeRoleResponse", issued, parameters)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A request for temporary keys that may be met; `user` is an access key id, `policy` a text."""

    user: str
    session: str
    expires_s: int
    policy: str | None


def _wanted(
    method: str, given: Mapping[str, str], users: Mapping[str, User], facts: Mapping[str, str], now_s: float
) -> _Wanted:
    access_key_id = given.get("AccessKeyId", "")
    user = users.get(access_key_id)
    if user is None:
        raise StsRefused(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
    wanted = signature(method, given, user.secret)
    if not hmac.compare_digest(given.get("Signature", "").encode(), wanted.encode()):
        raise StsRefused(
            400, "SignatureDoesNotMatch", "Specified signature is not matched with our calculation."
        )
    _check_time(given.get("Timestamp", ""), now_s)
    session, role = given.get("RoleSessionName", ""), given.get("RoleArn", "")
    if not 2 <= len(session) <= 64:
        raise StsRefused(400, "InvalidParameter.RoleSessionName", "The session name has 2 to 64 characters.")
    if not role.startswith("acs:ram::") or ":role/" not in role:
        raise StsRefused(400, "InvalidParameter.RoleArn", "The role is not acs:ram::ACCOUNT:role/NAME.")
    account, _, name = role.removeprefix("acs:ram::").partition(":role/")
    if account != user.account or not _may_assume(user, role, facts):
        raise StsRefused(
            403, "NoPermission", "You are not authorized to do this action. You should be authorized by RAM."
        )
    text = given.get("DurationSeconds") or str(_DEFAULT_S)
    if not text.isdecimal() or len(text) > 9 or not LEAST_S <= int(text) <= MOST_S:
        raise StsRefused(
            400, "InvalidParameter.DurationSeconds", f"DurationSeconds is {LEAST_S} to {MOST_S}."
        )
    policy = given.get("Policy") or None
    if policy is not None:
        if len(policy) > _MOST_POLICY:
            raise StsRefused(400, "InvalidParameter.PolicyGrammar", "The policy is too long.")
        try:
            read_policy(policy.encode(), names_principals=False)
        except ServiceError as error:
            raise StsRefused(400, "InvalidParameter.PolicyGrammar", error.message) from error
    role_session = f"acs:sts::{user.account}:assumed-role/{name}/{session}"
    return _Wanted(access_key_id, role_session, int(now_s) + int(text), policy)


def _may_assume(user: User, role: str, facts: Mapping[str, str]) -> bool:
    # The policy of a user names no principals.
    return user.policy is None or user.policy.verdict(Asked((), "sts:AssumeRole", role, facts)) == "Allow"


def _check_time(text: str, now_s: float) -> None:
    try:
        off_s = abs(dates.from_iso(text) - now_s)
    except InvalidInput:
        raise StsRefused(400, "InvalidTimeStamp.Format", "The timestamp is not valid.") from None
    if off_s > MAX_CLOCK_SKEW_S:
        raise StsRefused(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")


def signature(method: str, parameters: Mapping[str, str], secret: str) -> str:
    """The signature of a request to the service, over all parameters but itself."""
    pairs = sorted((name, value) for name, value in parameters.items() if name != "Signature")
    canonical = "&".join(f"{percent.encode(name)}={percent.encode(value)}" for name, value in pairs)
    text = f"{method}&%2F&{percent.encode(canonical)}"
    digest = hmac.digest(f"{secret}&".encode(), text.encode(), "sha1")
    return base64.b64encode(digest).decode("ascii")


def _document(status: int, root: str, content: Mapping[str, object], given: Mapping[str, str]) -> Answer:
    if given.get("Format", "XML").upper() == "JSON":
        return Answer(status, "application/json", json.dumps(content).encode())
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}>{_elements(content)}</{root}>'
    return Answer(status, "text/xml", body.encode())


def _elements(content: Mapping[str, object]) -> str:
    pieces = []
    for name, value in content.items():
        inner = _elements(value) if isinstance(value, Mapping) else _escaped(str(value))
        pieces.append(f"<{name}>{inner}</{name}>")
    return "".join(pieces)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
