"""Who asks: signatures of both versions, keys that stay and keys that end."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from penstock.protocol.error_table import fault
from penstock.protocol.percent import Query
from penstock.protocol.signature_v1 import check_v1, form_signature_v1, parse_v1
from penstock.protocol.signature_v2 import check_v2, parse_v2
from penstock.protocol.signature_v4 import check_v4, form_signature_v4, parse_v4
from penstock.server.guard.accounts import Caller, User
from penstock.server.guard.sts import Tokens

DEFAULT_ACCOUNT: Final = "1000000000000001"
"""Account of a server that names none."""


class Gate:
    """
    Knows the keys and says who holds the one that a request was signed with.

    Args:
        users: User by access key id, or only the secret of one who owns the server's account.
        region: The region that V4 signatures must name; None takes any.
        tokens: Knows the temporary keys that were issued.
        owner: The server's account.
    """

    def __init__(
        self,
        users: Mapping[str, User | str],
        region: str | None = None,
        tokens: Tokens | None = None,
        owner: str = DEFAULT_ACCOUNT,
    ) -> None:
        self.users = {
            access_key_id: filled_in(User(user) if isinstance(user, str) else user, owner)
            for access_key_id, user in users.items()
        }
        self.tokens = tokens or Tokens()
        self._region = region

    def identify(
        self, method: str, path: str, query: Query, headers: Mapping[str, str], now_s: float
    ) -> Caller:
        """
        Check the signature of a request, if it has one.

        Args:
            method: As it was sent.
            path: Decoded, with the bucket in front.
            query: Decoded.
            headers: By lower-case name.
            now_s: Unix time.

        Raises:
            ServiceError: With the code that OSS gives.
        """
        v4 = parse_v4(query, headers)
        v2 = parse_v2(query, headers) if v4 is None else None
        v1 = parse_v1(query, headers) if v4 is None and v2 is None else None
        presented = v4 or v2 or v1
        if presented is None:
            return Caller()
        user = self.users.get(presented.access_key_id)
        secret = self._secret(presented.access_key_id, user, presented.security_token or "")
        if v4 is not None:
            check_v4(
                v4,
                secret,
                method=method,
                path=path,
                query=query,
                headers=headers,
                now=int(now_s),
                region=self._region,
            )
        elif v2 is not None:
            check_v2(v2, secret, method=method, path=path, query=query, headers=headers, now=int(now_s))
        elif v1 is not None:
            check_v1(v1, secret, method=method, path=path, query=query, headers=headers, now=int(now_s))
        by_url = "authorization" not in headers
        if user is None:
            return self._open(presented.access_key_id, presented.security_token or "", now_s, by_url=by_url)
        if presented.security_token:
            raise fault("InvalidSecurityToken")
        return caller_of(presented.access_key_id, user, by_url=by_url)

    def identify_form(self, fields: Mapping[str, str], now_s: float) -> Caller:
        """
        Check the signature of a form, if it has one; what it may do, its policy says.

        Args:
            fields: By lower-case name.
            now_s: Unix time.

        Raises:
            ServiceError: With the code that OSS gives.
        """
        credential = fields.get("x-oss-credential", "")
        access_key_id = fields.get("ossaccesskeyid") or credential.partition("/")[0]
        if not access_key_id:
            return Caller()
        user = self.users.get(access_key_id)
        token = fields.get("x-oss-security-token", "")
        secret = self._secret(access_key_id, user, token)
        policy = fields.get("policy", "")
        if credential:
            given, wanted = (
                fields.get("x-oss-signature", ""),
                form_signature_v4(secret, credential, policy)[1],
            )
        else:
            given, wanted = fields.get("signature", ""), form_signature_v1(secret, policy)
        if not hmac.compare_digest(given.encode(), wanted.encode()):
            raise fault("SignatureDoesNotMatch", OSSAccessKeyId=access_key_id, SignatureProvided=given)
        if user is not None:
            return caller_of(access_key_id, user)
        return self._open(access_key_id, token, now_s, by_url=False)

    def _secret(self, access_key_id: str, user: User | None, token: str) -> str:
        secret = user.secret if user is not None else self.tokens.secret_of(access_key_id) if token else None
        if secret is None:
            raise fault("InvalidAccessKeyId", OSSAccessKeyId=access_key_id)
        return secret

    def _open(self, access_key_id: str, token: str, now_s: float, *, by_url: bool) -> Caller:
        temporary = self.tokens.open(access_key_id, token, self.users)
        if temporary is None:
            raise fault("InvalidSecurityToken")
        if temporary.expires_s <= now_s:
            raise fault("SecurityTokenExpired")
        return temporary.caller(by_url=by_url)


def filled_in(user: User, owner: str) -> User:
    """The user, with the server's account if it names none."""
    return user if user.account else replace(user, account=owner)


def caller_of(access_key_id: str, user: User, *, by_url: bool = False) -> Caller:
    """A user who signed, as a caller."""
    names = (user.account,) if not user.name else (user.name, f"acs:ram::{user.account}:user/{user.name}")
    return Caller(access_key_id, user.account, names, (user.policy,) if user.policy else (), by_url)
