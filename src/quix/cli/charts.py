"""From series to text: small lines of eight heights, and tables of them. Pure functions, as those of `render`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from quix.cli.render import Table, age, size
from quix.exits import printable

if TYPE_CHECKING:
    from quix.client import Backend, TelemetryHistory
    from quix.client.models import Point

COLUMNS: Final = 48
"""Characters of a line; as many points are asked for."""

_HEIGHTS: Final = "▁▂▃▄▅▆▇█"
_HIDDEN: Final = ("memory_total", "disk_total")
"""Metrics that seldom change: they are the top of others' lines."""

_TOPS: Final = {"memory_used": "memory_total", "disk_used": "disk_total"}


def line(values: Sequence[float | None], top: float) -> str:
    """Return a character for each value, from 0 to `top`; a blank where it is None."""

    def char(value: float | None) -> str:
        if value is None:
            return " "
        share = value / top if top > 0 else 0.0
        return _HEIGHTS[min(len(_HEIGHTS) - 1, max(0, int(share * len(_HEIGHTS))))]

    return "".join(map(char, values))


def spread(points: Sequence[Point], step: float, start: float, end: float, columns: int) -> list[float | None]:
    """Return the means of points that lie between two times, each where it belongs among so many columns.

    A point covers the `step` seconds from its time on, or without one the time between two points.
    """
    width = (end - start) / columns or 1.0
    cover = step or _usual([later[0] - earlier[0] for earlier, later in pairwise(points)])
    found: list[list[float]] = [[] for _ in range(columns)]
    for at, _, mean, _ in points:
        first = int((at - start) // width)
        last = max(first, int((at + cover - start - width / 1000) // width))
        for column in range(max(0, first), min(columns, last + 1)):
            found[column].append(mean)
    return [sum(means) / len(means) if means else None for means in found]


def _usual(spans: list[float]) -> float:
    return sorted(spans)[len(spans) // 2] if spans else 0.0


def share(value: float) -> str:
    return f"{100 * value:.0f}%"


def _rate(value: float) -> str:
    return f"{size(value)}/s"


def _count(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


_TEXTS: Final[dict[str, Callable[[float], str]]] = {
    "cpu": share,
    "cpu_busiest": share,
    "memory_used": size,
    "disk_used": size,
    "disk_fullest": share,
    "net_received": _rate,
    "net_sent": _rate,
}


def history(found: TelemetryHistory, columns: int = COLUMNS) -> Table:
    """Return a row for each metric: the extremes, the mean, the last, and a line from 0 to the highest there can be."""
    rows = []
    for name, points in found.series.items():
        if not points or name in _HIDDEN:
            continue
        text = _TEXTS.get(name, _count)
        highest = max(point[3] for point in points)
        means = [point[2] for point in points]
        values = (min(point[1] for point in points), sum(means) / len(means), highest, means[-1])
        drawn = line(spread(points, found.step, found.start, found.end, columns), _top(found, name, highest))
        rows.append((name, *map(text, values), drawn.rstrip()))
    head = ("METRIC", "LOWEST", "MEAN", "HIGHEST", "LAST", f"OVER {age(found.end - found.start).upper()}")
    return Table(head, rows, frozenset({1, 2, 3, 4}), empty="Nothing was sampled in that time.")


def _top(found: TelemetryHistory, name: str, highest: float) -> float:
    if _TEXTS.get(name) is share:
        return 1.0
    totals = found.series.get(_TOPS.get(name, ""))
    return max(point[3] for point in totals) if totals else highest


def fleet(found: Sequence[Backend], now: float) -> Table:
    """Return a row for each backend, the busiest of those that are there first."""

    def rank(backend: Backend) -> tuple[bool, float, str]:
        cpu = backend.load.cpu if backend.load else None
        return not backend.connected, -(cpu or 0.0), backend.name

    rows = [_row(backend, now) for backend in sorted(found, key=rank)]
    head = ("NAME", "STATE", "CPU", "MEMORY", "DISK", "SAMPLED", "LAST CPU")
    return Table(head, rows, frozenset({2, 3, 4}), state=1, empty="No backend has enrolled yet.")


def _row(backend: Backend, now: float) -> tuple[str, ...]:
    load = backend.load
    shares = (None, None, None) if load is None else (load.cpu, load.memory, load.disk)
    return (
        printable(backend.name),
        "online" if backend.connected else "offline",
        *("" if value is None else share(value) for value in shares),
        "" if load is None else age(now - load.at),
        line(load.recent.cpu, 1.0) if load is not None and load.recent is not None else "",
    )
