"""Which writes must not replace what is there: by their own wish, or by a rule of the bucket."""

from __future__ import annotations

from typing import Any

from penstock.protocol.operations.access import OverwriteRule
from penstock.server.call import Call
from penstock.server.guard.policy import like


def overwriting_forbidden(call: Call[Any], key: str, wish: bool | None) -> bool:
    """
    Whether a write to a key fails where something is.

    Args:
        wish: What the request says itself.
    """
    rules = call.rules.overwrite.rules if call.rules.overwrite is not None else ()
    return bool(wish) or any(_is_about(rule, key, call.caller.names) for rule in rules)


def _is_about(rule: OverwriteRule, key: str, names: tuple[str, ...]) -> bool:
    if not key.startswith(rule.prefix or "") or not key.endswith(rule.suffix or ""):
        return False
    # Those who did not sign have no name; they are meant where everybody is.
    everybody = not rule.principals or "*" in rule.principals
    return everybody or any(like(one, name) for one in rule.principals for name in names)
