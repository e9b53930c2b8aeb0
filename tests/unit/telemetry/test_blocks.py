"""Roll-ups against a naive model, and numbers that come back from their bytes."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quix.store import blocks
from quix.store.blocks import WIDTH, Rollup, Row

values = st.one_of(st.just(math.nan), st.floats(0, 2**63, width=32))
rows = st.lists(st.tuples(*[values] * WIDTH), min_size=1, max_size=6)


def naive(samples: Sequence[Row]) -> Rollup:
    columns = [[row[metric] for row in samples if not math.isnan(row[metric])] for metric in range(WIDTH)]
    return [
        *(float(len(column)) for column in columns),
        *(min(column, default=math.nan) for column in columns),
        *(sum(column) / len(column) if column else math.nan for column in columns),
        *(max(column, default=math.nan) for column in columns),
    ]


def close(one: Rollup, other: Rollup) -> bool:
    return len(one) == len(other) and one == pytest.approx(other, rel=1e-9, nan_ok=True)


@settings(max_examples=50, deadline=None)
@given(rows)
def test_a_rollup_is_what_its_samples_say(samples: list[Row]) -> None:
    assert close(blocks.rollup(samples), naive(samples))


@settings(max_examples=50, deadline=None)
@given(rows, st.data())
def test_however_samples_come_their_rollup_is_the_same(samples: list[Row], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(samples))
    cuts = sorted(data.draw(st.lists(st.integers(1, len(samples)), max_size=4)))
    parts = [shuffled[start:end] for start, end in zip([0, *cuts], [*cuts, len(samples)], strict=True)]
    whole: Rollup | None = None
    for part in parts:
        if part:
            rolled = blocks.rollup(part)
            whole = rolled if whole is None else blocks.combine(whole, rolled)
    assert whole is not None
    assert close(whole, naive(samples))


@settings(max_examples=50, deadline=None)
@given(rows)
def test_what_is_unpacked_is_what_was_packed(samples: list[Row]) -> None:
    offsets = [number * 7919 for number in range(len(samples))]
    found, unpacked = blocks.unpack(blocks.pack(offsets, samples), WIDTH)
    assert [*found] == offsets
    assert [struct.pack(f"{WIDTH}f", *row) for row in unpacked] == [struct.pack(f"{WIDTH}f", *row) for row in samples]


def test_the_order_of_the_lowest_the_mean_and_the_highest_survives_packing() -> None:
    row = [0.1] * WIDTH
    _, (unpacked,) = blocks.unpack(
        blocks.pack([0], [blocks.combine(blocks.rollup([row]), blocks.rollup([row]))]), 4 * WIDTH
    )
    assert unpacked[0] == 2
    assert unpacked[WIDTH] <= unpacked[2 * WIDTH] <= unpacked[3 * WIDTH]
