"""Signed headers are put in order by their names; the expected strings are computed here by hand."""

import base64
import hashlib
import hmac

from penstock.protocol.signature_v1 import authorization_v1
from penstock.protocol.signing import Credentials

CREDENTIALS = Credentials("ak", "sk")


def test_a_header_whose_name_begins_another_one_is_signed_before_it():
    headers = {"x-oss-meta-a-b": "2", "x-oss-meta-a": "1", "date": "Thu, 17 Nov 2005 18:49:58 GMT"}
    signed = authorization_v1(
        method="PUT",
        bucket="b",
        key="k",
        query=(),
        headers=headers,
        credentials=CREDENTIALS,
        signed_at=1132253398,
    )
    text = "PUT\n\n\nThu, 17 Nov 2005 18:49:58 GMT\nx-oss-meta-a:1\nx-oss-meta-a-b:2\n/b/k"
    expected = base64.b64encode(hmac.new(b"sk", text.encode(), hashlib.sha1).digest()).decode()
    assert signed["authorization"] == f"OSS ak:{expected}"
