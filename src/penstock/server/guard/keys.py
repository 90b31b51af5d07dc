"""Which access keys a server accepts. Decides; prints nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from penstock.errors import CredentialsMissing, InvalidInput
from penstock.server.guard.accounts import User

DEVELOPMENT_ID: Final = "penstock"
DEVELOPMENT_SECRET: Final = "penstock-for-development-only"  # noqa: S105 - known to everybody, on loopback only


@dataclass(frozen=True, slots=True)
class Keys:
    """
    The keys of a server.

    Attributes:
        users: Secret by access key id.
        development: True for the pair that everybody knows; it may be shown.
    """

    users: Mapping[str, str] = field(repr=False)
    development: bool


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server at this host."""
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def decide_keys(environment: Mapping[str, str], host: str) -> Keys:
    """
    The pair of OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET, else the development pair.

    Args:
        environment: Environment variables.
        host: Where the server will listen; the development pair is for loopback only.

    Raises:
        CredentialsMissing: Only half of a pair, or none where others can reach the server.
    """
    access_key_id = environment.get("OSS_ACCESS_KEY_ID", "")
    secret = environment.get("OSS_ACCESS_KEY_SECRET", "")
    if access_key_id and secret:
        return Keys({access_key_id: secret}, development=False)
    if access_key_id or secret:
        missing = "OSS_ACCESS_KEY_SECRET" if access_key_id else "OSS_ACCESS_KEY_ID"
        raise CredentialsMissing(
            f"Only half of a pair of keys is set: {missing} is not", advice="Set both, or neither."
        )
    if not is_loopback(host):
        raise CredentialsMissing(
            f"A server at {host} can be reached from elsewhere, and no keys are set for it",
            advice="Set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET, or listen on 127.0.0.1.",
        )
    return Keys({DEVELOPMENT_ID: DEVELOPMENT_SECRET}, development=True)


def check_keys(users: Mapping[str, User | str], host: str) -> None:
    """
    Refuse keys that cannot work or protect nothing.

    Raises:
        InvalidInput: None at all, an empty one, or the development pair where others can reach it.
    """
    secrets = {name: user if isinstance(user, str) else user.secret for name, user in users.items()}
    if not secrets or not all(access_key_id and secret for access_key_id, secret in secrets.items()):
        raise InvalidInput("A server needs at least one access key with a secret")
    if DEVELOPMENT_SECRET in secrets.values() and not is_loopback(host):
        raise InvalidInput(
            f"Everybody knows the development keys, and {host} can be reached from elsewhere",
            advice="Choose keys of your own, or listen on 127.0.0.1.",
        )
