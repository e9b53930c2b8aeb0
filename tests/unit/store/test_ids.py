"""Ids sort as they were made."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quix.store.ids import ID_LENGTH, new_id

moments = st.floats(min_value=0, max_value=4e9)


@given(moments, moments)
def test_ids_sort_by_time(first: float, second: float) -> None:
    ids = sorted([new_id(first), new_id(second)])
    assert [int(each[:14], 16) for each in ids] == sorted(int(moment * 1e6) for moment in (first, second))


@given(st.floats(min_value=0, max_value=7e10))
def test_an_id_is_short_lower_case_hexadecimal(moment: float) -> None:
    made = new_id(moment)
    assert len(made) == ID_LENGTH
    assert set(made) <= set("0123456789abcdef")


def test_ids_of_one_moment_differ() -> None:
    assert len({new_id(1.8e9) for _ in range(1000)}) == 1000
