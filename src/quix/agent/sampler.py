"""Looking at the machine again and again (extension `telemetry`)."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import psutil

from quix import logs
from quix.agent.cpu import CpuMeter
from quix.agent.disks import DiskMeter
from quix.wire.samples import Sample

log = logs.get(__name__)

_HARDWARE: Final = "/sys/class/net/{}/device"


class Sampler:
    """Takes samples; `count_runs` returns how many programs run, or None where that is not known."""

    def __init__(self, disks: DiskMeter, count_runs: Callable[[], Awaitable[int | None]]) -> None:
        # A meter of its own: whoever asks how busy the machine is would else shorten what a sample spans.
        self._cpu = CpuMeter()
        self._disks = disks
        self._net = NetMeter()
        self._count_runs = count_runs

    async def take(self) -> Sample:
        """Look at the machine."""
        cores = await self._cpu.usage()
        memory = psutil.virtual_memory()
        disks = await self._measure_disks()
        shares = [used / (used + free) for used, free in disks if used + free]
        received, sent = self._net.rates(time.monotonic()) or (None, None)
        return Sample(
            at=round(time.time(), 3),
            cpu=round(sum(cores) / len(cores), 4) if cores else None,
            cpu_busiest=max(cores, default=None),
            memory_used=float(max(0, memory.total - memory.free - memory.buffers - memory.cached)),
            memory_total=float(memory.total),
            disk_used=float(sum(used for used, _ in disks)) if shares else None,
            disk_total=float(sum(map(sum, disks))) if shares else None,
            disk_fullest=round(max(shares), 4) if shares else None,
            net_received=received,
            net_sent=sent,
            load=round(os.getloadavg()[0], 2),
            runs=await self._count_runs(),
        )

    async def _measure_disks(self) -> list[list[int]]:
        try:
            return [*(await self._disks.usage()).values()]
        except TimeoutError:
            log.warning("the machine does not tell its disks; left out of a sample")
            return []


class NetMeter:
    """Measures what goes over the machine's interfaces, from one look to the next."""

    def __init__(self) -> None:
        self._before: dict[str, Any] = {}
        self._before_at = 0.0

    def rates(self, now: float) -> tuple[float, float] | None:
        """Return bytes received and sent a second since the last look, at `now` (s); None the first time.

        Of interfaces with hardware behind them: what a bridge or a tunnel carries goes through one of those too. Where
        there are none, as in a container, of all but loopback.
        """
        after = psutil.net_io_counters(pernic=True, nowrap=False)
        before, span = self._before, now - self._before_at
        self._before, self._before_at = after, now
        names = [name for name in after if name in before and name != "lo"]
        names = [name for name in names if Path(_HARDWARE.format(name)).exists()] or names
        if not before or span <= 0:
            return None
        # A counter that begins anew has counted nothing yet that could be told.
        received = sum(max(0, after[name].bytes_recv - before[name].bytes_recv) for name in names)
        sent = sum(max(0, after[name].bytes_sent - before[name].bytes_sent) for name in names)
        return round(received / span, 1), round(sent / span, 1)
