"""Addresses on the command line, and whether the user means it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from penstock.cli.names import key_name
from penstock.cli.terminal import shown
from penstock.errors import InvalidInput
from penstock.protocol.urls import OssUrl, parse_url

if TYPE_CHECKING:
    from penstock.cli.options import Options
    from penstock.client.client import Client


def client_at(options: Options, url: OssUrl) -> Client:
    """A client for the endpoint that the address names, else for that of the settings."""
    from penstock.cli.options import open_client

    return open_client(options, endpoint=str(url.endpoint) if url.endpoint else None)


def oss_url(text: str) -> OssUrl:
    """
    An address as it was typed.

    Raises:
        InvalidInput: It is none.
    """
    return parse_url(key_name(text))


def bucket_url(text: str) -> OssUrl:
    """
    An address that names a bucket and nothing in it.

    Raises:
        InvalidInput: It names none, or an object.
    """
    url = oss_url(text)
    if not url.bucket or url.key:
        raise InvalidInput(f"{text!r} does not name a bucket", advice="A bucket looks like oss://bucket.")
    return url


def object_url(text: str) -> OssUrl:
    """
    An address that names an object.

    Raises:
        InvalidInput: It names none.
    """
    url = oss_url(text)
    if not url.key:
        raise InvalidInput(f"{text!r} names no object", advice="An object looks like oss://bucket/key.")
    return url


def place_url(text: str) -> OssUrl:
    """
    An address that names a bucket, and perhaps a prefix in it.

    Raises:
        InvalidInput: It names no bucket.
    """
    url = oss_url(text)
    if not url.bucket:
        raise InvalidInput(f"{text!r} names no bucket", advice="An address looks like oss://bucket/prefix.")
    return url


def confirm(question: str, *, sure: bool, option: str = "-f") -> None:
    """
    Ask before something that cannot be taken back.

    Args:
        sure: True if the user has said so on the command line.
        option: How that is said there.

    Raises:
        InvalidInput: Nobody is there to answer.
        click.exceptions.Exit: The answer was no.
    """
    if sure:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise InvalidInput(f"nobody is there to answer: {question}", advice=f"Add {option} if it is meant.")
    if not click.confirm(shown(question, err=True), err=True):
        raise click.exceptions.Exit(0)
