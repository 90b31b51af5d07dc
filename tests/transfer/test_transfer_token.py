from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies
from msgspec import msgpack

from penstock.errors import InvalidInput
from penstock.transfer.journal import Intent, ObjectOptions, Source, TargetState, TransferKind
from penstock.transfer.token import PREFIX, ResumeToken, decode, encode, token_of

TOKEN = ResumeToken(
    job_id="job",
    endpoint="oss-cn-hangzhou.aliyuncs.com",
    region="cn-hangzhou",
    bucket="b",
    key="a key/ä",
    upload_id="0004B9895DBBB6EC98E3",
    total_bytes=2**40,
    part_bytes=2**23,
    started_at=1_700_000_000,
    ownership_token="proof",
    target=TargetState(etag="e", size_bytes=1, modified_at=2),
    target_known=True,
)


def test_a_token_comes_back_as_it_was() -> None:
    assert decode(encode(TOKEN)) == TOKEN


def test_a_token_names_neither_a_file_of_this_machine_nor_what_the_object_is_described_as() -> None:
    source = Source(path="/home/me/private", size_bytes=1, device=3, inode=4)
    options = ObjectOptions(headers={"x-oss-tagging": "private"}, metadata={"note": "private"})
    for kind in (TransferKind.UPLOAD, TransferKind.DOWNLOAD):
        intent = Intent(
            job_id="job",
            endpoint="e",
            region="r",
            bucket="b",
            key="k",
            source=source,
            total_bytes=1,
            part_bytes=1,
            options=options,
            started_at=1,
            kind=kind,
            path="/home/me/private",
        )
        assert b"private" not in msgpack.encode(token_of(intent, "u", 7))


def test_a_token_is_one_word_that_a_shell_and_a_mail_leave_alone() -> None:
    assert re.fullmatch(r"pstk1-[A-Za-z0-9_-]+", encode(TOKEN))
    assert len(encode(TOKEN)) < 300
    text = encode(TOKEN)
    assert decode(f" {text[:40]}\r\n  {text[40:]}\n") == TOKEN


def test_any_changed_missing_or_added_character_is_noticed() -> None:
    text = encode(TOKEN)
    for position in range(len(PREFIX), len(text)):
        other = "A" if text[position] != "A" else "B"
        for damaged in (
            text[:position] + other + text[position + 1 :],
            text[:position] + text[position + 1 :],
            text[:position] + other + text[position:],
        ):
            assert reads_as(damaged) in (None, TOKEN)
            # The last character may carry bits that mean nothing.
            assert reads_as(damaged) is None or position == len(text) - 1


def reads_as(text: str) -> ResumeToken | None:
    try:
        return decode(text)
    except InvalidInput:
        return None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pstk1-",
        "pstk2-AAAA",
        "oss://b/k",
        "pstk1-%%%",
        "pstk1-AAAA",
        "pstk1-ä",
        encode(TOKEN).replace("pstk1", "pstk2"),
    ],
)
def test_what_is_no_token_is_refused_with_advice(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        decode(text)
    assert refused.value.advice


@given(data=strategies.binary(max_size=100))
def test_no_text_makes_the_reader_fail_otherwise(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode(PREFIX + data.hex())
