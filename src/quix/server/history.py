"""How a backend was: series of points from samples and roll-ups, as many as somebody wants to draw."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from itertools import groupby
from math import ceil, isnan
from typing import Final, Literal

from msgspec import Struct, field

from quix.server.collector import Collector
from quix.server.settings import TelemetrySettings
from quix.store import Store, blocks
from quix.store.blocks import WIDTH, Rollup, Row
from quix.store.samples import HOUR, MINUTE, Look, unpack_raw, unpack_rollups
from quix.wire.samples import METRICS

Resolution = Literal["raw", "minute", "hour"]

Point = tuple[float, float, float, float]
"""When (epoch seconds; the begin of what it covers), and the lowest, the mean and the highest."""

_STEPS: Final[dict[Resolution, int]] = {"raw": 0, "minute": MINUTE, "hour": HOUR}

_SLACK: Final = 60.0
"""Seconds that somebody who wants all that is kept may be late; rows go that much later."""

_PATIENCE: Final = 0.01
"""Seconds until it is looked again whether samples have been written; that takes some 20 ms."""


class TelemetryHistory(Struct, frozen=True, kw_only=True):
    """`series` has points for each metric, oldest first: [time, lowest, mean, highest]; where nothing was measured
    there is no point. `resolution` is what they were made from, `step` the seconds that each covers; 0: a sample
    each. Times in epoch seconds."""

    start: float = field(name="from")
    end: float = field(name="to")
    resolution: Resolution
    step: float
    series: dict[str, list[Point]]


class History:
    """Reads what the store has, and what the collector has not written yet."""

    def __init__(self, store: Store, collector: Collector, settings: TelemetrySettings) -> None:
        self._store = store
        self._collector = collector
        self._settings = settings

    async def read(
        self, backend_id: str, start: float, end: float, points: int, metrics: Sequence[str] = METRICS
    ) -> TelemetryHistory:
        """Return the metrics of a backend from `start` to `end` (epoch seconds), `points` of each at most.

        Raises:
            StoreUnavailableError: the store does not answer.
        """
        resolution, step = choose(start, end, points, time.time(), self._settings)
        rows, looks = await self._snapshot(backend_id, resolution, start, end)
        # In threads, since a year is a tenth of a second of work.
        if width := _STEPS[resolution]:
            made = asyncio.to_thread(_rolled_up, width, rows, looks, step, (start, end), metrics)
        else:
            made = asyncio.to_thread(_raw, rows, looks, step, (start, end), points, metrics)
        step, series = await made
        return TelemetryHistory(start=start, end=end, resolution=resolution, step=step, series=series)

    async def _snapshot(
        self, backend_id: str, resolution: Resolution, start: float, end: float
    ) -> tuple[list[tuple[float, bytes]], list[Look]]:
        """Return the rows of the store and the samples that wait, each sample in exactly one of the two."""
        while True:
            track = self._collector.track(backend_id)
            before = track.commits if track else 0
            if track and track.is_writing:
                await asyncio.sleep(_PATIENCE)
                continue
            looks = track.looks() if track else []
            step = _STEPS[resolution]
            if step:
                rows = await self._store.samples.rollups(backend_id, step, start, end)
            else:
                rows = await self._store.samples.raw(backend_id, start, end)
            if track is None or (track.commits == before and not track.is_writing):
                return rows, looks


def choose(start: float, end: float, points: int, now: float, settings: TelemetrySettings) -> tuple[Resolution, float]:
    """Return the finest resolution that is still kept from `start` on and not much finer than what is to be drawn,
    and the seconds of a point: a multiple of the resolution, so that there are at most `points`."""
    # One less, since a span that begins and ends within points touches one more.
    wanted = max(0.0, end - start) / max(1, points - 1)
    if wanted < MINUTE and start >= now - settings.raw_keep - _SLACK:
        return "raw", float(max(1, ceil(wanted)))
    is_minute = wanted < HOUR and start >= now - settings.minute_keep - _SLACK
    resolution: Resolution = "minute" if is_minute else "hour"
    step = _STEPS[resolution]
    return resolution, float(step * max(1, ceil(wanted / step)))


def _raw(
    rows: list[tuple[float, bytes]],
    looks: list[Look],
    step: float,
    span: tuple[float, float],
    points: int,
    metrics: Sequence[str],
) -> tuple[float, dict[str, list[Point]]]:
    found = sorted(
        look for look in (*unpack_raw(rows), *((at, row) for _, at, row in looks)) if span[0] <= look[0] <= span[1]
    )
    if len(found) <= points:
        return 0.0, {name: _plain(found, METRICS.index(name)) for name in metrics}
    groups = groupby(found, key=lambda look: look[0] // step * step)
    return step, _drawn([(at, blocks.rollup([row for _, row in group])) for at, group in groups], metrics)


def _rolled_up(
    width: int,
    rows: list[tuple[float, bytes]],
    looks: list[Look],
    step: float,
    span: tuple[float, float],
    metrics: Sequence[str],
) -> tuple[float, dict[str, list[Point]]]:
    parts = [*unpack_rollups(rows, width), *((at // width * width, blocks.rollup([row])) for _, at, row in looks)]
    merged = merge((part for part in parts if span[0] - width < part[0] <= span[1]), step)
    return step, _drawn(merged, metrics)


def merge(parts: Iterable[tuple[float, Rollup]], step: float) -> list[tuple[float, Rollup]]:
    """Return one roll-up for each `step` seconds, oldest first."""
    merged: dict[float, Rollup] = {}
    for at, part in parts:
        begin = at // step * step
        before = merged.get(begin)
        merged[begin] = part if before is None else blocks.combine(before, part)
    return sorted(merged.items())


def _plain(found: list[tuple[float, Row]], column: int) -> list[Point]:
    known = ((at, _rounded(row[column])) for at, row in found if not isnan(row[column]))
    return [(at, value, value, value) for at, value in known]


def _drawn(merged: list[tuple[float, Rollup]], metrics: Sequence[str]) -> dict[str, list[Point]]:
    return {
        name: [(at, *_numbers(part, METRICS.index(name))) for at, part in merged if part[METRICS.index(name)]]
        for name in metrics
    }


def _numbers(part: Rollup, column: int) -> tuple[float, float, float]:
    low, mean, high = (_rounded(part[kind * WIDTH + column]) for kind in (1, 2, 3))
    return low, mean, high


def _rounded(number: float) -> float:
    """Return a number as it was before it was kept in 24 bits."""
    return float(f"{number:.7g}")
