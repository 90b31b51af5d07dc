"""Users of a server and the accounts they belong to."""

from __future__ import annotations

from dataclasses import dataclass, field

from penstock.server.guard.policy import Policy


@dataclass(frozen=True, slots=True)
class User:
    """
    Somebody who may sign.

    Attributes:
        secret: Of the access key.
        account: Account that the user belongs to and whose buckets it may use; empty for the server's own.
        name: Empty for the owner of the account, else the name by which policies may speak of the user.
        policy: What the user may do; None for all that the account may.
    """

    secret: str = field(repr=False)
    account: str = ""
    name: str = ""
    policy: Policy | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """
    Who asks.

    Attributes:
        access_key_id: Empty for those who did not sign.
        account: Account that the caller belongs to.
        names: All names that policies may call the caller by; empty for those who did not sign.
        policies: Every one of them must allow what is asked.
        by_url: True if the signature was in the URL.
    """

    access_key_id: str = ""
    account: str = ""
    names: tuple[str, ...] = ()
    policies: tuple[Policy, ...] = ()
    by_url: bool = False

    @property
    def anonymous(self) -> bool:
        return not self.access_key_id

    @property
    def owns_account(self) -> bool:
        """Whether nobody restricts the caller within its account."""
        return bool(self.access_key_id) and self.names == (self.account,)
