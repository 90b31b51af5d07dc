"""``penstock presign``: a URL that anybody may use for a while."""

from __future__ import annotations

import click

from penstock.cli.address import client_at, object_url
from penstock.cli.amounts import duration_option, moment_text
from penstock.cli.json_line import echo_json
from penstock.cli.options import Options, oss_command


@oss_command("presign")
@click.argument("address", metavar="oss://BUCKET/KEY")
@click.option(
    "--expires",
    "--expires-duration",
    "expires_s",
    default="15m",
    show_default=True,
    callback=duration_option,
    metavar="TIME",
    help="How long it is good for; at most 7d.",
)
@click.option("--method", default="GET", show_default=True, type=click.Choice(["GET", "PUT", "HEAD"]))
@click.option("--content-type", help="With PUT: the type that has to be sent.")
def command(options: Options, address: str, expires_s: float, method: str, content_type: str | None) -> None:
    """Make a URL for reading (or, with --method PUT, for making) an object. Nothing is sent."""
    url = object_url(address)
    with client_at(options, url) as client:
        if method == "PUT":
            made = client.presign_put(
                url.bucket, url.key, expires_s=int(expires_s), content_type=content_type
            )
        elif method == "HEAD":
            made = client.presign_head(url.bucket, url.key, expires_s=int(expires_s))
        else:
            made = client.presign_get(url.bucket, url.key, expires_s=int(expires_s))
    if options.json:
        echo_json(made)
        return
    click.echo(made.url)
    options.say(f"{made.method}, good until {moment_text(made.expires_at)}")
    for name, text in made.headers.items():
        options.say(f"has to be sent with it: {name}: {text}")
