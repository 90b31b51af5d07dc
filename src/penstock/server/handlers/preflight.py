"""Browsers that ask before they send."""

from __future__ import annotations

from penstock.protocol.operations.access import OptionBucket, OptionObject, PreflightResult
from penstock.server.call import Call, Handler
from penstock.server.guard.cors import preflight


def answer(call: Call[OptionBucket]) -> PreflightResult:
    asked = call.asked
    return preflight(call.rules.cors, asked.origin, asked.asked_method, asked.asked_headers)


HANDLERS: dict[type, Handler] = {OptionBucket: answer, OptionObject: answer}
