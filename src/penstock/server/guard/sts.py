"""
Temporary keys: AssumeRole, as the security token service of Alibaba Cloud answers it.

A request is ``/?Action=AssumeRole&...`` signed by the rules of that service (HMAC-SHA1 over all
parameters), and comes by GET or POST to the address of the server itself. What is issued is kept in memory
and forgotten with the server.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from penstock.errors import InvalidInput, ServiceError
from penstock.protocol import dates, percent
from penstock.protocol.limits import MAX_CLOCK_SKEW_S
from penstock.server.guard.accounts import Caller, User
from penstock.server.guard.policy import Policy, read_policy

LEAST_S: Final = 900
MOST_S: Final = 43_200
_DEFAULT_S: Final = 3_600


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


class Tokens:
    """Issues temporary keys and knows those that were issued."""

    def __init__(self) -> None:
        self._issued: dict[str, Temporary] = {}
        self._lock = Lock()

    def find(self, access_key_id: str) -> Temporary | None:
        """The keys of this id, also after their time."""
        return self._issued.get(access_key_id)

    def issue(
        self, caller: Caller, session: str, duration_s: int, policy: Policy | None, now_s: float
    ) -> Temporary:
        """Make keys that may do what the caller may, and what the policy allows of it."""
        policies = caller.policies if policy is None else (*caller.policies, policy)
        made = Temporary(
            access_key_id=f"STS.{secrets.token_hex(12)}",
            secret=secrets.token_urlsafe(32),
            token=secrets.token_urlsafe(96),
            expires_s=int(now_s) + duration_s,
            account=caller.account,
            session=session,
            policies=policies,
        )
        with self._lock:
            # Keys are remembered for a day beyond their end, to say that they have expired.
            for old in [one for one in self._issued.values() if one.expires_s + 86_400 < now_s]:
                del self._issued[old.access_key_id]
            self._issued[made.access_key_id] = made
        return made


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
    request_id: str,
    now_s: float,
) -> Answer:
    """
    Answer a request for temporary keys.

    Args:
        method: GET or POST.
        parameters: Of the query, decoded.
        users: By access key id; their accounts are filled in.
        tokens: Where the keys are kept.
    """
    try:
        made = _made(method, parameters, users, tokens, now_s)
    except StsRefused as refused:
        content = {"RequestId": request_id, "Code": refused.code, "Message": refused.message}
        return _document(refused.status, "Error", content, parameters)
    session = made.session
    issued: dict[str, object] = {
        "RequestId": request_id,
        "AssumedRoleUser": {"Arn": session, "AssumedRoleId": session.rpartition("/")[2]},
        "Credentials": {
            "AccessKeyId": made.access_key_id,
            "AccessKeySecret": made.secret,
            "SecurityToken": made.token,
            "Expiration": dates.to_iso(made.expires_s).replace(".000Z", "Z"),
        },
    }
    return _document(200, "AssumeRoleResponse", issued, parameters)


def _made(
    method: str, given: Mapping[str, str], users: Mapping[str, User], tokens: Tokens, now_s: float
) -> Temporary:
    access_key_id = given.get("AccessKeyId", "")
    user = users.get(access_key_id)
    if user is None:
        raise StsRefused(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
    if not hmac.compare_digest(given.get("Signature", ""), signature(method, given, user.secret)):
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
    if account != user.account:
        raise StsRefused(403, "NoPermission", "You are not authorized to do this action.")
    text = given.get("DurationSeconds") or str(_DEFAULT_S)
    if not text.isdecimal() or not LEAST_S <= int(text) <= MOST_S:
        raise StsRefused(
            400, "InvalidParameter.DurationSeconds", f"DurationSeconds is {LEAST_S} to {MOST_S}."
        )
    wanted = given.get("Policy")
    try:
        policy = read_policy(wanted.encode(), names_principals=False) if wanted else None
    except ServiceError as error:
        raise StsRefused(400, "InvalidParameter.PolicyGrammar", error.message) from error
    caller = Caller(access_key_id, user.account, (), (user.policy,) if user.policy else ())
    return tokens.issue(
        caller, f"acs:sts::{user.account}:assumed-role/{name}/{session}", int(text), policy, now_s
    )


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
