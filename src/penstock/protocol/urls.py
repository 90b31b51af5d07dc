"""
The addresses people type: ``oss://bucket/key``, and web addresses of objects.

===================================================  ====================================================
oss://                                               the service (its buckets)
oss://bucket, oss://bucket/                          a bucket
oss://bucket/key                                     an object; a key that ends in / is also a prefix
oss://bucket.oss-cn-hangzhou.aliyuncs.com/key        the same, and the endpoint
https://bucket.oss-cn-hangzhou.aliyuncs.com/key      likewise; the key is percent-encoded
https://oss-cn-hangzhou.aliyuncs.com/bucket/key      likewise
===================================================  ====================================================

The scheme may be in any case. In ``oss://`` the key is written as it is: ``%``, ``?`` and ``#`` are parts
of it. Secrets in an address are refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.errors import InvalidInput
from penstock.protocol import percent
from penstock.protocol.endpoint import Endpoint
from penstock.protocol.names import check_bucket, check_key

_EXAMPLE = "An address looks like oss://bucket/key."
_NO_SECRETS = "Never put secrets into an address; set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET."


@dataclass(frozen=True, slots=True)
class OssUrl:
    """
    What an address names.

    Attributes:
        bucket: Empty for the service.
        key: Empty for a bucket.
        endpoint: The endpoint, if the address holds one.
    """

    bucket: str = ""
    key: str = ""
    endpoint: Endpoint | None = None

    @property
    def names_prefix(self) -> bool:
        """Whether things are put under it rather than at it: a bucket, or a key that ends in ``/``."""
        return not self.key or self.key.endswith("/")

    def __str__(self) -> str:
        return f"oss://{self.bucket}/{self.key}" if self.key else f"oss://{self.bucket}"


def is_oss_url(text: str) -> bool:
    """Say whether a text is meant as an ``oss://`` address (rather than a local path)."""
    return text[:6].lower() == "oss://"


def parse_url(text: str) -> OssUrl:
    """
    Read an address of one of the forms above.

    Raises:
        InvalidInput: It is none, it holds a secret or a query, or its bucket or key cannot be.
    """
    if not isinstance(text, str):
        raise InvalidInput(f"{text!r:.100} is not an address in OSS", advice=_EXAMPLE)
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in ("oss", "http", "https"):
        raise InvalidInput(f"{_shown(text)} is not an address in OSS", advice=_EXAMPLE)
    host, _, path = rest.partition("/")
    if "@" in host or _has_odd_port(host):
        # The text is not shown: this is how a secret with a slash in it looks, too.
        raise InvalidInput(
            f"The address has a user name, or something that is no port, behind {scheme}://",
            advice=f"{_EXAMPLE} {_NO_SECRETS}",
        )
    if scheme == "oss":
        return _parse_oss(text, host, path)
    return _parse_web(text, scheme, host, path)


def _parse_oss(text: str, host: str, path: str) -> OssUrl:
    if not host:
        if path:
            raise InvalidInput(f"{_shown(text)} has a key but no bucket", advice=_EXAMPLE)
        return OssUrl()
    endpoint = None
    bucket = host
    # Names of buckets hold no dots, so that one with a dot is the host of a bucket.
    if "." in host:
        bucket, _, rest = host.partition(".")
        if not Endpoint.is_of_oss(rest):
            raise InvalidInput(
                f"{_shown(text)} names neither a bucket nor a host of OSS",
                advice=f"{_EXAMPLE} Names of buckets hold no dots.",
            )
        endpoint = Endpoint.parse(rest)
    check_bucket(bucket)
    if path:
        check_key(path)
    return OssUrl(bucket, path, endpoint)


def _parse_web(text: str, scheme: str, host: str, path: str) -> OssUrl:
    path, question, query = path.partition("?")
    if question:
        hint = "It seems to be signed: fetch it with any HTTP client." if "ignature" in query else _EXAMPLE
        raise InvalidInput(f"{scheme}://{host}/{path} has a query behind it", advice=hint)
    key = percent.decode(path)
    name, dot, rest = host.partition(".")
    if dot and Endpoint.is_of_oss(rest):
        bucket, endpoint = name, Endpoint.parse(f"{scheme}://{rest}")
    else:
        bucket, _, key = key.partition("/")
        endpoint = Endpoint.parse(f"{scheme}://{host}")
        if not (endpoint.path_style or Endpoint.is_of_oss(host)):
            raise InvalidInput(
                f"{_shown(text)} does not say which bucket it is of",
                advice=f"{_EXAMPLE} A custom domain is given as endpoint, with cname=True.",
            )
    if not bucket:
        return OssUrl(endpoint=endpoint)
    check_bucket(bucket)
    if key:
        check_key(key)
    return OssUrl(bucket, key, endpoint)


def _has_odd_port(host: str) -> bool:
    before, colon, port = host.rpartition(":")
    return bool(colon) and not (port.isdecimal() or (before.startswith("[") and port.endswith("]")))


def _shown(text: str) -> str:
    return repr(text if len(text) <= 100 else f"{text[:80]}...")
