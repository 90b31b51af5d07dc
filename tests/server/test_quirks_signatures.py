"""How clients in use sign: which date, where, in which order; and what was signed elsewhere is not let in."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from quirk_client import ACCESS_KEY_ID, basic_date, by_v1, by_v4, head, http_date, v1, v4
from server_desk import REGION, USERS, Answer, Wire, receive

from penstock.server.local_oss import LocalOss

Serve = Callable[..., tuple[LocalOss, Wire]]
RECORDINGS = sorted((Path(__file__).parents[1] / "protocol" / "recordings").glob("*.jsonl"))


def send(wire: Wire, method: str, target: str, headers: dict[str, str], body: bytes = b"") -> Answer:
    connection = wire.connect()
    lines = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **headers}
    connection.sendall(head(f"{method} {target} HTTP/1.1", lines) + body)
    return receive(connection, method)


def code_of(answer: Answer) -> str:
    document = base64.b64decode(answer.headers.get("x-oss-err", "")) or answer.body
    return Answer(answer.status, answer.headers, document).code if answer.status >= 400 else ""


# -- version 1


def test_version_1_may_be_dated_by_x_oss_date_alone(wire: Wire) -> None:
    date = http_date()
    headers = {"x-oss-date": date, "x-oss-meta-k": "v", "content-type": "text/plain"}
    headers["authorization"] = by_v1("PUT", "/photos/a", date, headers)
    assert send(wire, "PUT", "/photos/a", headers, b"x").status == 200


def test_x_oss_date_goes_before_date(wire: Wire) -> None:
    date = http_date()
    headers = {"Date": "Thu, 01 Jan 1970 00:00:00 GMT", "x-oss-date": date}
    headers["Authorization"] = by_v1("GET", "/photos/", date, headers)
    assert send(wire, "GET", "/photos/", headers).status == 200


@pytest.mark.parametrize(
    "order",
    [
        ("OSSAccessKeyId", "Expires", "Signature", "uploads"),
        ("Signature", "uploads", "Expires", "OSSAccessKeyId"),
        ("Expires", "OSSAccessKeyId", "uploads", "Signature"),
    ],
)
def test_a_url_of_version_1_may_have_its_parameters_in_any_order(wire: Wire, order: tuple[str, ...]) -> None:
    expires = str(int(time.time()) + 600)
    values = {"OSSAccessKeyId": ACCESS_KEY_ID, "Expires": expires, "uploads": ""}
    values["Signature"] = quote(v1("GET", "/photos/?uploads", expires), safe="")
    query = "&".join(f"{name}={values[name]}" if values[name] else name for name in order)
    assert send(wire, "GET", f"/photos/?{query}", {}).status == 200


# -- version 4


@pytest.mark.parametrize("comma", [",", ", "])
def test_the_fields_of_version_4_may_have_a_space_between_them(wire: Wire, comma: str) -> None:
    assert send(wire, "GET", "/photos/", by_v4("GET", "/photos/", comma=comma)).status == 200


def test_version_4_may_be_dated_by_date_alone(wire: Wire) -> None:
    """The second line of what is signed is then the date as it was sent, not in the form of version 4."""
    date, day = http_date(), basic_date()[:8]
    headers = {"Date": date, "x-oss-content-sha256": "UNSIGNED-PAYLOAD"}
    signature = v4("GET", "/photos/", "", date, day, headers)
    credential = f"{ACCESS_KEY_ID}/{day}/{REGION}/oss/aliyun_v4_request"
    headers["Authorization"] = f"OSS4-HMAC-SHA256 Credential={credential},Signature={signature}"
    assert send(wire, "GET", "/photos/", headers).status == 200


def test_version_4_may_be_dated_twice(wire: Wire) -> None:
    headers = {**by_v4("GET", "/photos/"), "Date": http_date()}
    assert send(wire, "GET", "/photos/", headers).status == 200


def test_version_4_signs_the_bucket_that_stands_in_the_host(wire: Wire) -> None:
    headers = {**by_v4("PUT", "/photos/a%20b/c"), "Host": "photos.oss.localhost"}
    assert send(wire, "PUT", "/a%20b/c", headers, b"x").status == 200
    assert wire.ask("GET", "/photos/a%20b/c").body == b"x"


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("expires_s", ["599", "1", "604800"])
def test_a_url_of_version_4_may_have_its_parameters_in_any_order(
    wire: Wire, reverse: bool, expires_s: str
) -> None:
    wire.ask("PUT", "/photos/a", b"x")
    when = basic_date()
    credential = quote(f"{ACCESS_KEY_ID}/{when[:8]}/{REGION}/oss/aliyun_v4_request", safe="")
    pairs = [
        ("x-oss-credential", credential),
        ("x-oss-date", when),
        ("x-oss-expires", expires_s),
        ("x-oss-signature-version", "OSS4-HMAC-SHA256"),
    ]
    query = "&".join(f"{name}={value}" for name, value in pairs)
    pairs.append(("x-oss-signature", v4("GET", "/photos/a", query, when, when[:8], {})))
    sent = "&".join(f"{name}={value}" for name, value in (reversed(pairs) if reverse else pairs))
    assert send(wire, "GET", f"/photos/a?{sent}", {}).body == b"x"


# -- neither


@pytest.mark.parametrize(
    "authorization",
    [
        f"AWS4-HMAC-SHA256 Credential=ak/20261122/{REGION}/s3/aws4_request, SignedHeaders=host, Signature=00",
        "AWS ak:c2lnbmF0dXJl",
        "Bearer token",
        "Basic YWs6c2s=",
    ],
)
def test_other_ways_to_sign_are_refused_by_name(wire: Wire, authorization: str) -> None:
    wire.ask("PUT", "/photos/?acl", **{"x-oss-acl": "public-read-write"})
    date = http_date()
    headers = {"Date": date, "x-amz-date": basic_date(), "Authorization": authorization}
    for method, target in (("GET", "/photos/"), ("PUT", "/photos/a")):
        refused = send(wire, method, target, headers, b"x" if method == "PUT" else b"")
        assert (refused.status, refused.code) == (400, "InvalidArgument")
        assert "Unsupported Authorization Type" in refused.element("Message")
    assert wire.ask("HEAD", "/photos/a").status == 404


# -- what programs of others sent


class Recorded:
    def __init__(self, line: str) -> None:
        fields = json.loads(line)
        self.method: str = fields["method"]
        self.target: str = fields["target"]
        self.headers: dict[str, str] = fields["headers"]
        self.refused: str | None = fields.get("refused")
        self.by_own_domain = "bucket" in fields

    @property
    def bucket(self) -> str:
        host = self.headers["host"].partition(":")[0]
        for base in (".oss-cn-hangzhou.aliyuncs.com", ".oss.localhost", ".localhost"):
            if host.endswith(base):
                return host.removesuffix(base)
        return urlsplit(self.target.replace("%2F", "/", 1)).path.strip("/").partition("/")[0]


@pytest.fixture
def past(serve: Serve) -> tuple[Wire, list[float]]:
    """A server that knows the keys of the recordings, and its clock."""
    now = [time.time()]
    _, wire = serve(
        users={**USERS, "LTAI_test_ak": "test_sk_0123456789"},
        clock=lambda: now[0],
        base_hosts=("localhost", "oss.localhost", "oss-cn-hangzhou.aliyuncs.com"),
    )
    return wire, now


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
def test_what_official_sdks_signed_is_let_in(past: tuple[Wire, list[float]], recording: Path) -> None:
    wire, now = past
    asked = [Recorded(line) for line in recording.read_text(encoding="utf-8").splitlines()]
    asked = [one for one in asked if not one.by_own_domain and one.refused is None]
    wrong = []
    for one in asked:
        bucket = one.bucket
        if bucket and not (one.method == "PUT" and urlsplit(one.target).path.strip("/") in ("", bucket)):
            now[0] = time.time()
            wire.ask("PUT", f"/{bucket}/")
        now[0] = 1_795_360_000.0  # within 15 minutes of every recording
        framing = {} if one.method in ("GET", "HEAD", "DELETE") else {"content-length": "0"}
        connection = wire.connect()
        connection.sendall(head(f"{one.method} {one.target} HTTP/1.1", {**one.headers, **framing}))
        answer = receive(connection, one.method)
        connection.close()
        if answer.status in (401, 403):
            wrong.append((one.method, one.target, code_of(answer)))
    assert wrong == []
    assert len(asked) > 50
