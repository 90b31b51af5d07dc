"""Sizes, durations, and how they are shown; the meter; secrets in commands that are printed again."""

from __future__ import annotations

import io

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
from penstock.cli.copy_run import without_secrets
from penstock.cli.meter import LineMeter, Reading, Speed, bar_line, figures
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


@given(st.text("abcdefxyz0123456789", min_size=4, max_size=20))
def test_no_secret_is_ever_printed_again(secret):
    for words in (
        ["-k", secret],
        [f"-k{secret}"],
        [f"--access-key-secret={secret}"],
        ["-t", secret],
        ["--sts-token", secret],
        [f"-t{secret}"],
    ):
        again = without_secrets(["cp", *words, "SRC", "DST"])
        assert not any(secret in word for word in again)
        assert again[-2:] == ["SRC", "DST"]
