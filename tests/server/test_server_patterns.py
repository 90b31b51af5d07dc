"""Patterns with stars, as in policies and lists of referers and origins."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.server.guard.policy import like


def fits(pattern: str, text: str) -> bool:
    """The same by its definition."""
    reached = {0}
    for sign in pattern:
        if sign == "*":
            reached = set(range(min(reached), len(text) + 1)) if reached else set()
        else:
            reached = {at + 1 for at in reached if at < len(text) and sign in ("?", text[at])}
    return len(text) in reached


@given(st.text("ab*?\n.", max_size=12), st.text("ab\n.*", max_size=12))
def test_a_star_is_any_text_and_a_question_mark_any_sign(pattern: str, text: str) -> None:
    assert like(pattern, text) is fits(pattern, text)


@given(st.text("aB*?", max_size=8), st.text("Ab", max_size=8))
def test_letters_may_be_compared_without_their_case(pattern: str, text: str) -> None:
    assert like(pattern, text, ignore_case=True) is fits(pattern.lower(), text.lower())


def test_a_pattern_of_many_stars_does_not_hold_up_the_server() -> None:
    """Tried one way after the other, this would not end in a lifetime."""
    assert not like("*a" * 400 + "*b", "a" * 1000)
    assert like("*a" * 400 + "*b", "a" * 1000 + "b")
