"""Telemetry: what the seed's "System statistics" asks of a backend."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import psutil
from msgspec import UNSET

from quix import logs
from quix.agent import vpn_status
from quix.agent.cpu import CpuMeter
from quix.agent.disks import DiskMeter
from quix.agent.look import Look
from quix.link.router import Router
from quix.wire.messages import STAT_TYPES, TeleData, Telemetry, TelemetryAnswer

log = logs.get(__name__)

_MB: Final = 10**6
_VPN_PATIENCE: Final = 5.0


class TelemetrySource:
    """Measures the machine when asked to, and only what it is asked for.

    `vpn_folder` is where the agent keeps its VPN configurations (see `quix.agent.tunnels`).
    """

    def __init__(self, vpn_folder: Path, disks: DiskMeter) -> None:
        cpu = CpuMeter()
        vpn = Look(partial(vpn_status.read, vpn_folder), _VPN_PATIENCE)
        self._measures: dict[str, Callable[[], Awaitable[Any]]] = {
            "ttl_cpu_usage": cpu.usage,
            "ttl_mem_usage": _memory,
            "disk_util": disks.usage,
            "vpn_status": vpn.take,
        }

    def register(self, router: Router[Any]) -> None:
        router.add(Telemetry, self.answer)

    async def answer(self, _context: object, request: Telemetry) -> TelemetryAnswer:
        """Measure each kind in `stat_types`; one that is unknown, or that the machine does not tell in time, is
        left out of the answer."""
        kinds = [kind for kind in STAT_TYPES if kind in request.stat_types]
        values = await asyncio.gather(*(self._measure(kind) for kind in kinds))
        return TelemetryAnswer(TeleData(**dict(zip(kinds, values, strict=True))))

    async def _measure(self, kind: str) -> Any:
        try:
            return await self._measures[kind]()
        except TimeoutError:
            log.warning("the machine does not answer; left out", stat_type=kind)
            return UNSET


async def _memory() -> list[int]:
    """Return [used, buffers and cache, free] in MB; the three add up to all the memory there is, but for rounding."""
    memory = psutil.virtual_memory()
    cache = memory.buffers + memory.cached
    # psutil's own `used` is what is not available, which counts part of the cache twice.
    used = max(0, memory.total - memory.free - cache)
    return [round(amount / _MB) for amount in (used, cache, memory.free)]
