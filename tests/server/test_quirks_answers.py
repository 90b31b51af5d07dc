"""What clients in use need to find in answers."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import pytest
from server_desk import Answer, Wire

from penstock.protocol.crc64 import crc64

DATA = bytes(range(256)) * 500


def complete(wire: Wire, key: str, upload: str, *etags: str, **headers: str) -> Answer:
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        for number, etag in enumerate(etags, 1)
    )
    document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    return wire.ask("POST", f"/photos/{key}?uploadId={upload}", document, **headers)


def test_every_answer_has_a_request_id_and_a_date(wire: Wire) -> None:
    for method, target in (
        ("GET", "/"),
        ("PUT", "/photos/a"),
        ("GET", "/photos/a"),
        ("HEAD", "/photos/none"),
        ("DELETE", "/photos/a"),
        ("GET", "/none-such/"),
        ("OPTIONS", "/photos/a"),
    ):
        headers = wire.ask(method, target).headers
        assert re.fullmatch("[0-9A-F]{24}", headers["x-oss-request-id"])
        assert parsedate_to_datetime(headers["date"])


def test_checksums_are_told_wherever_bytes_are_stored_or_read(wire: Wire) -> None:
    crc, md5 = str(crc64(DATA)), hashlib.md5(DATA)
    etag = f'"{md5.hexdigest().upper()}"'
    put = wire.ask("PUT", "/photos/a", DATA)
    upload = wire.ask("POST", "/photos/b?uploads").element("UploadId")
    part = wire.ask("PUT", f"/photos/b?partNumber=1&uploadId={upload}", DATA)
    for answer in (put, part):
        assert answer.headers["x-oss-hash-crc64ecma"] == crc
        assert answer.headers["etag"] == etag
        assert answer.headers["content-md5"] == base64.b64encode(md5.digest()).decode()
    done = complete(wire, "b", upload, part.headers["etag"])
    assert done.headers["x-oss-hash-crc64ecma"] == crc
    assert re.fullmatch('"[0-9A-F]{32}-1"', done.headers["etag"])
    appended = wire.ask("POST", "/photos/c?append&position=0", DATA[:1000])
    assert appended.headers["x-oss-next-append-position"] == "1000"
    appended = wire.ask("POST", "/photos/c?append&position=1000", DATA[1000:])
    assert appended.headers["x-oss-next-append-position"] == str(len(DATA))
    assert appended.headers["x-oss-hash-crc64ecma"] == crc
    for key in "abc":
        for method in ("GET", "HEAD"):
            read = wire.ask(method, f"/photos/{key}")
            assert read.headers["x-oss-hash-crc64ecma"] == crc
            assert re.fullmatch('"[0-9A-F]{32}(-1)?"', read.headers["etag"])


def test_etags_are_taken_back_with_and_without_quotes(wire: Wire) -> None:
    for quote in ("", '"', "&quot;"):
        upload = wire.ask("POST", "/photos/b?uploads").element("UploadId")
        part = wire.ask("PUT", f"/photos/b?partNumber=1&uploadId={upload}", DATA)
        etag = part.headers["etag"].strip('"')
        assert complete(wire, "b", upload, f"{quote}{etag}{quote}").status == 200


def test_a_copied_part_has_its_etag_in_a_header_too(wire: Wire) -> None:
    put = wire.ask("PUT", "/photos/a", DATA)
    upload = wire.ask("POST", "/photos/b?uploads").element("UploadId")
    target = f"/photos/b?partNumber=1&uploadId={upload}"
    answer = wire.ask("PUT", target, **{"x-oss-copy-source": "/photos/a"})
    assert answer.headers["etag"] == put.headers["etag"]
    assert answer.element("ETag").replace("&quot;", '"') == put.headers["etag"]
    assert answer.element("LastModified").endswith("Z")


def test_listed_buckets_lead_back_to_the_server(wire: Wire) -> None:
    assert wire.ask("PUT", "/videos/").status == 200
    listed = wire.ask("GET", "/?prefix=ph").body.decode()
    assert "<Name>photos</Name>" in listed
    assert "videos" not in listed
    for name in ("ExtranetEndpoint", "IntranetEndpoint"):
        endpoint = listed.partition(f"<{name}>")[2].partition(f"</{name}>")[0]
        parts = urlsplit(endpoint)
        assert parts.hostname is not None
        assert parts.port is not None
        back = Wire(parts.hostname, parts.port)
        assert back.ask("GET", "/photos/").status == 200
        back.open[0].close()
    assert "<Location>oss-cn-hangzhou</Location>" in listed
    assert "<Region>cn-hangzhou</Region>" in listed


class CallbackServer(BaseHTTPRequestHandler):
    """Answers with JSON that says what it was sent."""

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["content-length"])).decode()
        body = json.dumps({"Status": "OK", "sent": sent}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def callback() -> Iterator[str]:
    """The headers' value that asks for a callback to a server that is there."""
    with HTTPServer(("127.0.0.1", 0), CallbackServer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        asked = {
            "callbackUrl": f"http://127.0.0.1:{server.server_port}/done",
            "callbackBody": "key=${object}&size=${size}",
        }
        yield base64.b64encode(json.dumps(asked).encode()).decode()
        server.shutdown()
        thread.join()


def test_the_answer_of_a_callback_is_handed_on_as_json(wire: Wire, callback: str) -> None:
    put = wire.ask("PUT", "/photos/a", DATA, **{"x-oss-callback": callback})
    upload = wire.ask("POST", "/photos/b?uploads").element("UploadId")
    part = wire.ask("PUT", f"/photos/b?partNumber=1&uploadId={upload}", DATA)
    done = complete(wire, "b", upload, part.headers["etag"], **{"x-oss-callback": callback})
    for answer, key in ((put, "a"), (done, "b")):
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        assert json.loads(answer.body) == {"Status": "OK", "sent": f"key={key}&size={len(DATA)}"}
        assert answer.headers["etag"]


def test_a_callback_that_fails_is_a_203_and_the_object_is_there(wire: Wire) -> None:
    asked = {"callbackUrl": "http://127.0.0.1:1/", "callbackBody": "x"}
    header = base64.b64encode(json.dumps(asked).encode()).decode()
    answer = wire.ask("PUT", "/photos/a", DATA, **{"x-oss-callback": header})
    assert (answer.status, answer.code, answer.element("EC")) == (203, "CallbackFailed", "0007-00000203")
    assert wire.ask("GET", "/photos/a").body == DATA
