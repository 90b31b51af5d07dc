"""``penstock doctor``: whether the settings lead to an OSS that answers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import click

from penstock.cli.amounts import time_text
from penstock.cli.ending import ExitCode, error_lines, exit_code_of
from penstock.cli.json_line import echo_json
from penstock.cli.options import Options, open_client, oss_command
from penstock.errors import PenstockError
from penstock.files.state_dir import StateDir
from penstock.protocol import dates
from penstock.protocol.limits import MAX_CLOCK_SKEW_S

if TYPE_CHECKING:
    from penstock.client.client import Client
    from penstock.protocol.endpoint import Endpoint

_SKEW_WORTH_SAYING_S = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What an endpoint answered to a request without a signature.

    Attributes:
        skew_s: By how much its clock is ahead of ours; None if it did not say.
        is_oss: Whether it looks like OSS.
    """

    status: int
    elapsed_s: float
    skew_s: float | None
    is_oss: bool


@oss_command("doctor")
def command(options: Options) -> int:
    """Check endpoint, region, keys and clock, and ask the endpoint; never shows a secret."""
    with open_client(options) as client:
        settings = client.settings
        fields: dict[str, Any] = {
            "endpoint": str(settings.endpoint),
            "endpoint_from": settings.endpoint_from,
            "region": settings.region,
            "region_from": settings.region_from,
            "credentials_from": settings.credentials_from,
            "access_key": _key_text(settings.credentials),
            "state_dir": str(StateDir().root),
        }
        for label, value, where in (
            ("endpoint", fields["endpoint"], settings.endpoint_from),
            ("region", settings.region or "not known", settings.region_from),
            ("keys", fields["access_key"], settings.credentials_from),
        ):
            _tell(options, label, f"{value}{f'  (from {where})' if where else ''}")
        _tell(options, "journals", f"{StateDir().root}")
        code = _ask(client, options, fields)
    if options.json:
        echo_json(fields)
    return code


def _ask(client: Client, options: Options, fields: dict[str, Any]) -> int:
    try:
        answer = answer_of(client.settings.endpoint)
    except PenstockError as error:
        fields["error"] = error.message
        _tell_error(options, "answers", error)
        return exit_code_of(error)
    fields |= {"status": answer.status, "elapsed_s": answer.elapsed_s, "clock_skew_s": answer.skew_s}
    what = "OSS" if answer.is_oss else f"something that is not OSS (status {answer.status})"
    _tell(options, "answers", f"{what}, in {time_text(answer.elapsed_s)}")
    _tell(options, "clock", _skew_text(answer.skew_s))
    if not answer.is_oss:
        return ExitCode.CLIENT_ERROR
    try:
        client.list_buckets(max_keys=1)
    except PenstockError as error:
        fields["error"] = error.message
        _tell_error(options, "signed call", error)
        return exit_code_of(error)
    _tell(options, "signed call", "accepted (the list of buckets)")
    return ExitCode.SUCCESS


def answer_of(endpoint: Endpoint) -> Answer:
    """
    Ask an endpoint for nothing in particular, without keys.

    Raises:
        NetworkError: No answer came.
    """
    from penstock.net.latch import Latch
    from penstock.net.request import HttpRequest, Origin
    from penstock.net.transport import HttpTransport

    transport = HttpTransport()
    scheme = cast("Any", endpoint.scheme)
    request = HttpRequest(Origin(scheme, endpoint.host, endpoint.port), "GET", "/")
    begun = time.perf_counter()
    try:
        with transport.send(request, Latch()) as response:
            elapsed_s = time.perf_counter() - begun
            headers = {name.lower(): text for name, text in dict(response.headers).items()}
            status = response.status
    finally:
        transport.close()
    date = headers.get("date")
    skew_s = dates.from_http(date) - time.time() if date else None
    return Answer(status, elapsed_s, skew_s, "x-oss-request-id" in headers)


def _skew_text(skew_s: float | None) -> str:
    if skew_s is None:
        return "the answer has no date"
    if abs(skew_s) < _SKEW_WORTH_SAYING_S:
        return f"right, to {max(1, round(abs(skew_s)))} s"
    text = f"this machine is {abs(skew_s):,.0f} s {'behind' if skew_s > 0 else 'ahead'}"
    return (
        f"{text}; OSS refuses more than {MAX_CLOCK_SKEW_S} s, set it right"
        if abs(skew_s) > MAX_CLOCK_SKEW_S
        else text
    )


def _key_text(credentials: Any) -> str:
    key_id = getattr(credentials, "access_key_id", None)
    return f"{key_id[:4]}..." if key_id else "given by a provider when needed"


def _tell(options: Options, label: str, text: str) -> None:
    if not options.json:
        click.echo(f"{click.style(label.ljust(12), dim=True)} {text}")


def _tell_error(options: Options, label: str, error: PenstockError) -> None:
    if not options.json:
        click.echo(f"{click.style(label.ljust(12), dim=True)} {click.style('no', fg='red')}")
    for line in error_lines(error):
        click.echo(line, err=True)
