import locale
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import InvalidInput
from penstock.protocol import dates

seconds = st.integers(-62_135_596_800, 253_402_300_799)


@pytest.mark.parametrize(
    ("write", "read", "text"),
    [
        (dates.to_http, dates.from_http, "Sun, 22 Nov 2026 14:53:27 GMT"),
        (dates.to_iso_basic, dates.from_iso_basic, "20261122T145327Z"),
        (dates.to_iso, dates.from_iso, "2026-11-22T14:53:27.000Z"),
    ],
)
def test_each_spelling_goes_both_ways(write, read, text):
    assert write(1795359207) == text
    assert read(text) == 1795359207


@given(seconds)
def test_every_second_from_year_1_to_9999_comes_back(unix_s):
    assert dates.from_http(dates.to_http(unix_s)) == unix_s
    assert dates.from_iso_basic(dates.to_iso_basic(unix_s)) == unix_s
    assert dates.from_iso(dates.to_iso(unix_s)) == unix_s


@given(st.integers(0, 253_402_300_799))
def test_http_dates_are_those_of_the_standard_library(unix_s):
    assert dates.to_http(unix_s) == format_datetime(datetime.fromtimestamp(unix_s, UTC), usegmt=True)


def test_the_names_of_days_and_months_do_not_depend_on_the_locale():
    before = locale.setlocale(locale.LC_TIME)
    try:
        for name in ("de_DE.UTF-8", "zh_CN.UTF-8", "C.UTF-8"):
            try:
                locale.setlocale(locale.LC_TIME, name)
            except locale.Error:
                continue
            dates.to_http.cache_clear()
            assert dates.to_http(1795359207) == "Sun, 22 Nov 2026 14:53:27 GMT"
    finally:
        locale.setlocale(locale.LC_TIME, before)


def test_a_fraction_of_a_second_is_cut_off():
    assert dates.from_iso("2026-11-22T14:53:27.999Z") == dates.from_iso("2026-11-22T14:53:27Z") == 1795359207


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (dates.from_http, ""),
        (dates.from_http, "Sun, 22 Nov 2026 14:53:27 CET"),
        (dates.from_http, "Son, 22 Nov 2026 14:53:27 GMT"),
        (dates.from_http, "Sun, 31 Feb 2026 14:53:27 GMT"),
        (dates.from_http, "Sun, 22 Nov 2026 24:53:27 GMT"),
        (dates.from_http, "Sun, ２2 Nov 2026 14:53:27 GMT"),
        (dates.from_iso_basic, "2026-11-22T14:53:27Z"),
        (dates.from_iso_basic, "20261122T145327"),
        (dates.from_iso_basic, "20261122T145327Z\n"),
        (dates.from_iso, "2026-11-22 14:53:27"),
        (dates.from_iso, "0000-11-22T14:53:27.000Z"),
    ],
)
def test_anything_else_is_refused(read, text):
    with pytest.raises(InvalidInput, match="not a time"):
        read(text)


def test_a_time_beyond_the_calendar_is_refused():
    with pytest.raises(InvalidInput, match="outside"):
        dates.to_http(10**18)
