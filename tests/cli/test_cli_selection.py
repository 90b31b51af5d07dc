from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cli.selection import EVERYTHING, Selection, names_in, pattern_of
from penstock.errors import InvalidInput


@pytest.mark.parametrize(
    ("glob", "name", "matches"),
    [
        ("*.jpg", "a.jpg", True),
        ("*.jpg", "deep/below/a.jpg", True),
        ("*.jpg", "a.jpg.txt", False),
        ("/*.jpg", "deep/a.jpg", False),
        ("/*.jpg", "a.jpg", True),
        ("img/*", "img/a", True),
        ("img/*", "x/img/a", True),
        ("img/*", "img/a/b", False),
        ("img/**", "img/a/b", True),
        ("img/", "img/a/b", True),
        ("img/", "myimg/a", False),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[ab].txt", "b.txt", True),
        ("[!ab].txt", "b.txt", False),
        ("[!ab].txt", "c.txt", True),
        ("[0-9]*", "7up", True),
        ("[[&&]", "&", True),
        ("[x-]", "-", True),
        ("*.{jpg,png}", "a.png", True),
        ("*.{jpg,png}", "a.gif", False),
        ("{a,b}/*", "b/x", True),
        ("a,b", "a,b", True),
        (r"\*", "*", True),
        (r"\*", "a", False),
        ("a+b(c)", "a+b(c)", True),
        ("*", "line\nbreak", True),
    ],
)
def test_globs_mean_what_they_do_in_rclone(glob, name, matches):
    assert (pattern_of(glob).fullmatch(name) is not None) is matches


@pytest.mark.parametrize("glob", ["[ab", "{a,b", "a{b{c}"])
def test_an_open_bracket_is_refused(glob):
    with pytest.raises(InvalidInput, match="not closed"):
        pattern_of(glob)


def test_a_range_that_ends_before_it_begins_is_refused():
    with pytest.raises(InvalidInput, match="cannot be read"):
        pattern_of("[b-a]")


@given(st.text(alphabet="ab/*?[]{},!^\\-.+()|&~", max_size=12))
def test_every_glob_is_a_pattern_or_refused(glob):
    try:
        pattern_of(glob)
    except InvalidInput:
        pass


@given(
    st.text(alphabet=st.characters(exclude_characters="*?[]{}\\/", exclude_categories=("Cs",)), min_size=1)
)
def test_a_name_without_signs_matches_itself_alone(name):
    assert pattern_of(name).fullmatch(name)
    assert not pattern_of(name).fullmatch(f"{name}x")


def test_all_conditions_have_to_hold():
    chosen = Selection(
        include=(pattern_of("*.txt"),), exclude=(pattern_of("b*"),), min_bytes=2, max_bytes=3, names=None
    )
    assert chosen.takes("a.txt", 2)
    assert not chosen.takes("a.md", 2)
    assert not chosen.takes("b.txt", 2)
    assert not chosen.takes("a.txt", 1)
    assert not chosen.takes("a.txt", 4)
    assert EVERYTHING.takes("anything", 0)


def test_a_list_holds_names_or_the_lines_of_a_report():
    assert names_in(["a/b.txt\n", "\n", '{"name": "c\\nd", "code": "X"}\n']) == {"a/b.txt", "c\nd"}
    with pytest.raises(InvalidInput):
        names_in(['{"source": "x"}'])
