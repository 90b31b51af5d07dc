"""
A plugin for pytest: tests that draw one of several buckets never draw the one with Alibaba's key service.

Many tests of oss2 draw at random between a plain bucket, one that encrypts with RSA and one whose keys come
from KMS, which is a service of its own and not here. Left alone, each of them would fail now and then.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

_draw = random.choice


def choice(candidates: Sequence[Any]) -> Any:
    # The suite draws each letter of its objects, too; that has to stay quick.
    if isinstance(candidates, str):
        return _draw(candidates)
    left = [one for one in candidates if not _needs_key_service(one)]
    return _draw(left or candidates)


def _needs_key_service(candidate: Any) -> bool:
    return type(getattr(candidate, "crypto_provider", None)).__name__ == "AliKMSProvider"


random.choice = choice
