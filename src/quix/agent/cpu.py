"""How busy each core has been (PROTOCOL: `ttl_cpu_usage`)."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import psutil

SHORTEST: Final = 0.1
"""Seconds a measurement spans at least; the kernel counts in ticks of 10 ms, so less would be noise."""


class CpuMeter:
    """Measures from one look to the next. Looks that come while one is waiting share its answer."""

    def __init__(self) -> None:
        self._before: list[Any] = []
        self._before_at = 0.0
        self._looking: asyncio.Task[list[float]] | None = None

    async def usage(self) -> list[float]:
        """Return the share of time, 0 to 1.00 in two decimals, that each core was busy since the last look.

        The first look, and one less than `SHORTEST` after the last, waits for the rest of that time.
        """
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        # Shielded, since one caller that gives up must not end the look of the others.
        return await asyncio.shield(self._looking)

    async def _look(self) -> list[float]:
        clock = asyncio.get_running_loop().time
        while True:
            if not self._before:
                self._before, self._before_at = psutil.cpu_times(percpu=True), clock()
            await asyncio.sleep(max(0.0, self._before_at + SHORTEST - clock()))
            before = self._before
            self._before, self._before_at = psutil.cpu_times(percpu=True), clock()
            if len(self._before) == len(before):  # else a core came or went: measure anew
                return [busy_share(old, new) for old, new in zip(before, self._before, strict=True)]


def busy_share(before: Any, after: Any) -> float:
    """Return the busy share of one core between two of its `psutil.cpu_times`; waiting for a disk is idle time."""
    # iowait can fall, and the others after a core was offline (proc_stat(5)): time never runs backwards here.
    spent = {name: max(0.0, getattr(after, name) - getattr(before, name)) for name in after._fields}
    # The kernel counts guests in user and nice as well (proc_stat(5)).
    total = sum(spent.values()) - spent.get("guest", 0.0) - spent.get("guest_nice", 0.0)
    idle = spent["idle"] + spent.get("iowait", 0.0)
    return round(min(1.0, max(0.0, (total - idle) / total)), 2) if total > 0 else 0.0
