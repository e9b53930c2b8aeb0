"""Small lines and what stands beside them, from data alone."""

from __future__ import annotations

import pytest

from quix.cli import charts
from quix.client import Backend, Load, Recent, TelemetryHistory
from quix.client.models import Point

NOW = 1_800_000_000.0


def point(at: float, value: float) -> Point:
    return at, value, value, value


def test_a_line_has_eight_heights_and_blanks() -> None:
    assert charts.line([0.0, 0.124, 0.126, 0.5, 0.99, 1.0, None, 7.0, -1.0], 1.0) == "▁▁▂▅██ █▁"
    assert charts.line([0.0, 3.0], 0.0) == "▁▁"


@pytest.mark.parametrize(
    ("points", "step", "columns", "expected"),
    [
        ([point(0, 1.0), point(5, 2.0)], 5, 4, [1.0, 1.0, 2.0, 2.0]),
        ([point(0, 1.0), point(5, 2.0)], 0, 4, [1.0, 1.0, 2.0, 2.0]),
        ([point(0, 1.0), point(1, 3.0)], 0, 2, [2.0, None]),
        ([point(8, 1.0)], 0, 5, [None, None, None, None, 1.0]),
        ([point(-5, 1.0)], 10, 4, [1.0, 1.0, None, None]),
        ([point(10, 1.0)], 0, 2, [None, None]),
        ([], 0, 2, [None, None]),
    ],
)
def test_points_lie_where_they_belong(
    points: list[Point], step: float, columns: int, expected: list[float | None]
) -> None:
    assert charts.spread(points, step, 0, 10, columns) == expected


def test_a_span_of_nothing_is_drawn_too() -> None:
    assert charts.spread([point(1, 2.0)], 0, 1, 1, 2) == [2.0, None]


def test_a_history_has_a_row_for_each_metric_that_was_told() -> None:
    series = {
        "cpu": [(0.0, 0.1, 0.2, 0.3), (30.0, 0.5, 0.6, 1.0)],
        "memory_used": [point(0, 1e9)],
        "memory_total": [point(0, 4e9)],
        "net_sent": [point(0, 1500.0)],
        "load": [point(0, 1.5)],
        "runs": [],
    }
    found = TelemetryHistory(start=0, end=60, resolution="minute", step=30, series=series)
    table = charts.history(found, columns=4)
    assert table.head[-1] == "OVER 1 MIN"
    assert table.rows == [
        ("cpu", "10%", "40%", "100%", "60%", "▂▂▅▅"),
        ("memory_used", "1.0 GB", "1.0 GB", "1.0 GB", "1.0 GB", "▃▃"),
        ("net_sent", "1.5 KB/s", "1.5 KB/s", "1.5 KB/s", "1.5 KB/s", "██"),
        ("load", "1.5", "1.5", "1.5", "1.5", "██"),
    ]


def backend(name: str, load: Load | None, *, connected: bool = True) -> Backend:
    return Backend(
        id=name, name=name, connected=connected, connected_since=None, address="", enrolled_by="ada",
        created_at=0.0, last_seen=0.0, facts=None, extensions={}, load=load,
    )  # fmt: skip


def test_the_fleet_is_sorted_by_what_needs_a_look_and_made_printable() -> None:
    recent = Recent(cpu=[0.0, None, 1.0], memory=[], disk=[])
    busy = Load(at=NOW - 20, cpu=0.9, memory=0.5, disk=None, recent=recent)
    found = [
        backend("away", busy, connected=False),
        backend("new", None),
        backend("idle", Load(at=NOW, cpu=0.1, memory=0.25, disk=0.75)),
        backend("bu\x1b[2Jsy", busy),
    ]
    assert charts.fleet(found, NOW).rows == [
        ("bu�[2Jsy", "online", "90%", "50%", "", "20 s", "▁ █"),
        ("idle", "online", "10%", "25%", "75%", "just now", ""),
        ("new", "online", "", "", "", "", ""),
        ("away", "offline", "90%", "50%", "", "20 s", "▁ █"),
    ]
