"""Sizes, durations, and how they are shown; the meter; secrets in commands that are printed again."""

from __future__ import annotations

import io
import json
import unicodedata

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.cli.amounts import (
    age_text,
    bytes_text,
    clock_text,
    duration_s,
    share_text,
    size_bytes,
    time_text,
)
from penstock.cli.command_line import command_words
from penstock.cli.copy_plan import LeftOut
from penstock.cli.json_line import json_line
from penstock.cli.likeness import Likeness, Side, is_alike
from penstock.cli.meter import LineMeter, Reading, Speed, bar_line, figures
from penstock.cli.options import Options
from penstock.cli.program import cli
from penstock.cli.selection import Selection, names_in, pattern_of
from penstock.cli.terminal import escaped
from penstock.cli.uploads_show import ranges_text
from penstock.transfer.progress import Progress


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4096", 4096),
        ("8M", 8 << 20),
        ("100Ki", 102400),
        ("1.5GiB", 3 << 29),
        ("1kb", 1024),
        ("2 T", 2 << 40),
    ],
)
def test_sizes_are_understood(text, expected):
    assert size_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "M", "8X", "-1", "8 M M", "1e6"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError):
        size_bytes(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("15m", 900), ("7d", 604800), ("1M", 2592000), ("250ms", 0.25)]
)
def test_durations_are_understood(text, expected):
    assert duration_s(text) == expected


@given(st.integers(0, 2**62))
def test_a_size_that_is_shown_is_understood_again_to_a_tenth(count):
    shown = bytes_text(count)
    assert abs(size_bytes(shown.replace(" ", "")) - count) <= max(0, count * 0.06)


def test_figures_are_shown_in_fitting_units():
    assert bytes_text(1023) == "1023 B"
    assert share_text(1536, 3 * 1024) == "1.5/3.0 KiB"
    assert clock_text(3725) == "1:02:05"
    assert (time_text(0.0006), time_text(0.048), time_text(3.14)) == ("0.6 ms", "48 ms", "3.1 s")
    assert (age_text(5), age_text(300), age_text(7200), age_text(400000)) == ("5 s", "5 min", "2 h", "4 d")


def test_the_speed_counts_nothing_that_was_sent_before():
    now = [0.0]
    speed = Speed(lambda: now[0])
    speed.note(Progress(total_bytes=1000, acknowledged_bytes=900, resumed_bytes=900))
    now[0] = 1.0
    assert speed.note(Progress(total_bytes=1000, acknowledged_bytes=950, resumed_bytes=900)) == 50.0


def test_lines_come_every_two_seconds_and_are_plain():
    now = [0.0]
    stream = io.StringIO()
    meter = LineMeter(stream, lambda: now[0])
    for step in range(1, 50):
        now[0] = step * 0.1
        meter.show(Reading("a", Progress(total_bytes=100, acknowledged_bytes=step)))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("a   20%")


@settings(deadline=None)
@given(
    st.text(min_size=1, max_size=60).filter(str.isprintable),
    st.integers(0, 10**15),
    st.integers(0, 10**15),
    st.integers(20, 200),
)
def test_a_bar_is_never_wider_than_the_terminal_allows(name, total, part, columns):
    acknowledged = min(total, part)
    progress = Progress(
        total_bytes=total, acknowledged_bytes=acknowledged, in_flight_bytes=total - acknowledged
    )
    line = bar_line("x", progress, "", max(columns, 70))
    assert line.cell_len <= max(columns, 70)
    assert figures(Reading(name, progress), 0)


def test_ranges_are_short():
    assert ranges_text([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"
    assert ranges_text([]) == ""


def understood(words):
    """What a command line comes to: the shared options, and the context of the command."""
    options = Options(program="penstock")
    context = cli.make_context("penstock", list(words), obj=options)
    while isinstance(context.command, click.Group):
        name, command, rest = context.command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        context = command.make_context(name, rest, parent=context)
    return options, context


SECRET_WORDS = (
    ["-k", "{}"],
    ["-k{}"],
    ["--access-key-secret={}"],
    ["-qk", "{}"],
    ["-qt{}"],
    ["--sts-token", "{}"],
)


@given(st.text("abcdefxyz0123456789", min_size=4, max_size=20), st.sampled_from(SECRET_WORDS))
def test_no_secret_is_ever_printed_again(secret, words):
    typed = [word.format(secret) for word in words]
    for line in ([*typed, "cp", "-r", "SRC", "DST"], ["cp", *typed, "-r", "SRC", "DST"]):
        options, context = understood(line)
        again = [*options.words(), *command_words(context)]
        assert not any(secret in word for word in again)
        assert any(word.endswith("=SECRET") for word in again)
        assert again[-4:] == ["cp", "-r", "SRC", "DST"]


@pytest.mark.parametrize(
    "line",
    [
        ["--profile", "cp", "cp", "-ru", "a", "oss://bucket/a/", "-j4", "--part-size", "1.5M"],
        ["cp", "--meta", "a:b c", "--metadata=d:$e", "--", "-x", "oss://bucket/-x"],
        [
            "-e",
            "http://127.0.0.1:1",
            "--format=json",
            "-q",
            "sync",
            "--delete",
            "-y",
            "it's",
            "oss://bucket/",
        ],
        [
            "cp",
            "-r",
            "--include",
            "*.png",
            "--include=--x",
            "--exclude",
            "",
            "--report",
            "r",
            "a",
            "oss://b/",
        ],
        ["uploads", "-i", "me", "resume", "-f", "1234abcd", "--parallel=3"],
        ["cp", "-", "oss://bucket/k", "--acl", "private"],
    ],
)
def test_a_command_that_is_printed_means_what_was_typed(line):
    options, context = understood(line)
    again_options, again = understood([*options.words(), *command_words(context)])
    assert again_options == options
    while context is not None:
        assert (again.info_name, again.params) == (context.info_name, context.params)
        again, context = again.parent, context.parent


def test_a_name_is_shown_without_anything_that_a_terminal_obeys():
    assert escaped("a\x1b[2Jb\n\u202ec\udcff\x9b é中") == r"a\x1b[2Jb\n\u202ec\xff\x9b é中"
    assert escaped("a\nb", lines=True) == "a\nb"


@given(st.text())
def test_nothing_that_is_shown_has_a_control_character(text):
    assert not any(unicodedata.category(one) in ("Cc", "Zl", "Zp", "Cs") for one in escaped(text))


def test_a_name_that_is_not_utf8_is_json_and_comes_back():
    fields = {"name": "é\udcff\n"}
    line = json_line(fields)
    assert line.encode() == '{"name":"é\\udcff\\n"}'.encode()
    assert json.loads(line) == fields
    assert names_in([line]) == {"é\udcff\n"}


T = 1_800_000_000


def side(modified_s, crc64=1, size_bytes=5):
    return Side(size_bytes, modified_s, lambda: crc64)


@pytest.mark.parametrize(
    ("source_s", "target_s", "same_bytes", "alike"),
    [
        (T, T + 1, False, True),
        (T + 0.9, T + 1, False, True),
        (T + 1, T + 0.9, True, False),
        (T + 0.9, T, False, False),
        (T + 0.1, T, False, False),
        (T, T + 0.9, False, False),
        (T, T, False, False),
        (T + 0.9, T, True, True),
    ],
)
def test_what_is_of_the_same_second_is_alike_only_with_the_same_bytes(source_s, target_s, same_bytes, alike):
    target = side(target_s, crc64=1 if same_bytes else 2)
    assert is_alike(Likeness.SIZE_AND_TIME, side(source_s), target) is alike
    assert not is_alike(Likeness.SIZE_AND_TIME, side(T, crc64=None), side(T, crc64=None))


@pytest.mark.parametrize(
    ("options", "name", "is_directory", "meant"),
    [
        ({}, "link", True, True),
        ({"exclude": ["node_modules/"]}, "node_modules/.bin", True, False),
        ({"exclude": ["*.tmp"]}, "link", True, True),
        ({"exclude": ["link/*"]}, "link", True, True),
        ({"exclude": ["link/**"]}, "link", True, False),
        ({"include": ["*.png"]}, "link", True, True),
        ({"include": ["*.png"]}, "pipe", False, False),
        ({"exclude": ["pipe"]}, "pipe", False, False),
    ],
)
def test_what_is_left_out_is_said_where_it_may_have_been_meant(options, name, is_directory, meant):
    said = []
    patterns = {side: tuple(map(pattern_of, globs)) for side, globs in options.items()}
    left_out = LeftOut(said.append, Selection(**patterns))
    left_out.add(name, "why", is_directory=is_directory)
    assert left_out.was_meant is meant
    assert said == (["left out: why"] if meant else [])
    assert left_out.covers(name)
    assert left_out.covers(f"{name}/below/it")
    assert not left_out.covers(f"{name}er")
