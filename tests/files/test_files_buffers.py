from __future__ import annotations

import pytest

from penstock.files.buffers import BufferPool


def test_a_buffer_that_came_back_is_lent_again() -> None:
    pool = BufferPool(10, kept=2)
    with pool.lend() as first:
        assert len(first) == 10
    with pool.lend() as second:
        assert second is first
        with pool.lend() as third:
            assert third is not second


def test_no_more_than_the_wanted_number_is_kept() -> None:
    pool = BufferPool(10, kept=1)
    with pool.lend(), pool.lend(), pool.lend():
        assert pool.idle == 0
    assert pool.idle == 1


def test_a_buffer_comes_back_after_an_exception() -> None:
    pool = BufferPool(10, kept=1)
    with pytest.raises(RuntimeError), pool.lend():
        raise RuntimeError
    assert pool.idle == 1
