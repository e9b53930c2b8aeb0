"""Which resolution a span is drawn from."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quix.server.history import choose, merge
from quix.server.settings import TelemetrySettings
from quix.store import blocks
from quix.store.blocks import WIDTH

NOW = 1_800_000_000.0
SETTINGS = TelemetrySettings()
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


@pytest.mark.parametrize(
    ("ago", "span", "points", "expected"),
    [
        (HOUR, HOUR, 300, ("raw", 13)),
        (2 * HOUR, 2 * HOUR, 300, ("raw", 25)),
        (HOUR, HOUR, 20, ("minute", 240)),
        (3 * HOUR, HOUR, 300, ("minute", 60)),
        (DAY, DAY, 300, ("minute", 300)),
        (2 * DAY, 2 * DAY, 300, ("minute", 600)),
        (3 * DAY, HOUR, 300, ("hour", 3600)),
        (30 * DAY, 30 * DAY, 300, ("hour", 3 * 3600)),
        (365 * DAY, 365 * DAY, 300, ("hour", 30 * 3600)),
        (DAY, DAY, 10, ("hour", 3 * 3600)),
        (MINUTE, MINUTE, 1, ("minute", 60)),
        (10, 0, 300, ("raw", 1)),
    ],
)
def test_what_fits(ago: float, span: float, points: int, expected: tuple[str, float]) -> None:
    assert choose(NOW - ago, NOW - ago + span, points, NOW, SETTINGS) == expected


@given(st.floats(0, 400 * DAY), st.floats(0, 400 * DAY), st.integers(2, 5000))
def test_there_are_never_more_points_than_were_asked_for(ago: float, span: float, points: int) -> None:
    start, end = NOW - ago, NOW - ago + span
    _, step = choose(start, end, points, NOW, SETTINGS)
    assert math.floor(end / step) - math.floor(start / step) + 1 <= points or step == 1.0


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30), st.integers(1, 10))
def test_what_is_merged_is_what_was_there(times: list[int], step: int) -> None:
    parts = [(float(at), blocks.rollup([[float(at)] * WIDTH])) for at in times]
    merged = merge(parts, float(step))
    assert [at for at, _ in merged] == sorted({float(at // step * step) for at in times})
    for at, part in merged:
        members = [float(each) for each in times if each // step * step == at]
        assert part[0] == len(members)
        assert (part[WIDTH], part[3 * WIDTH]) == (min(members), max(members))
        assert part[2 * WIDTH] == pytest.approx(sum(members) / len(members))
