"""What pages of other origins may do with a bucket (CORS). Pure."""

from __future__ import annotations

from penstock.protocol.error_table import fault
from penstock.protocol.operations.access import Cors, CorsRule, PreflightResult
from penstock.server.guard.policy import like


def preflight(
    cors: Cors | None, origin: str | None, method: str | None, asked_headers: str | None
) -> PreflightResult:
    """
    The answer to a browser that asks before it sends.

    Args:
        cors: The rules of the bucket.
        origin: Where the page is from.
        method: What it wants to send.
        asked_headers: Names of headers that it wants to send, with commas between.

    Raises:
        ServiceError: AccessForbidden, or InvalidRequest if it is not said what is wanted.
    """
    if origin is None or method is None:
        raise fault("InvalidRequest", message="A preflight needs Origin and Access-Control-Request-Method.")
    if cors is None:
        raise fault("AccessForbidden", message="CORSResponse: CORS is not enabled for this bucket.")
    wanted = [name.strip() for name in (asked_headers or "").split(",") if name.strip()]
    for rule in cors.rules:
        allowed = all(
            any(like(one, name, ignore_case=True) for one in rule.allowed_headers) for name in wanted
        )
        if allowed and method in rule.allowed_methods and (shown := _shown(rule, origin)):
            return PreflightResult(
                allow_origin=shown,
                allow_methods=", ".join(rule.allowed_methods),
                allow_headers=", ".join(wanted) or None,
                expose_headers=", ".join(rule.expose_headers) or None,
                max_age_s=rule.max_age_s,
            )
    raise fault(
        "AccessForbidden",
        message="CORSResponse: This CORS request is not allowed. This is usually because the evaluation of "
        "Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not "
        "whitelisted by the resource's CORS spec.",
    )


def answer_headers(cors: Cors | None, origin: str | None, method: str) -> dict[str, str]:
    """What an answer says to the browser of a page of this origin; nothing where no rule fits."""
    if cors is None or origin is None:
        return {}
    headers = {"vary": "Origin"} if cors.response_vary else {}
    for rule in cors.rules:
        if method in rule.allowed_methods and (shown := _shown(rule, origin)):
            headers["access-control-allow-origin"] = shown
            headers["access-control-allow-methods"] = ", ".join(rule.allowed_methods)
            if rule.expose_headers:
                headers["access-control-expose-headers"] = ", ".join(rule.expose_headers)
            if rule.max_age_s is not None:
                headers["access-control-max-age"] = str(rule.max_age_s)
            if shown != "*":
                headers["vary"] = "Origin"
            break
    return headers


def _shown(rule: CorsRule, origin: str) -> str:
    """The origin as the answer names it; empty if the rule is about others."""
    if "*" in rule.allowed_origins:
        return "*"
    return origin if any(like(one, origin, ignore_case=True) for one in rule.allowed_origins) else ""
