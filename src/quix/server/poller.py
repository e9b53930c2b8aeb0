"""Samples of backends that push none: they are asked (seed: "System statistics"), one after the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from msgspec import UNSET

from quix.link.outcomes import AskError
from quix.server.collector import Collector
from quix.server.fleet import Fleet
from quix.server.session import Session
from quix.wire.extensions import TELEMETRY
from quix.wire.messages import TeleData, Telemetry
from quix.wire.samples import Sample

_KINDS: Final = ("ttl_cpu_usage", "ttl_mem_usage", "disk_util")

_AT_ONCE: Final = 64
"""Backends that may be owing an answer; one that does not answer holds a place until its time is over."""

_MB: Final = 10**6
_LARGEST: Final = 2.0**63


class Poller:
    """Asks each such backend once an interval, the first time one interval after it came."""

    def __init__(self, fleet: Fleet, collector: Collector, interval: float) -> None:
        self._fleet = fleet
        self._collector = collector
        self._interval = interval
        self._asked: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Ask until cancelled."""
        try:
            while True:
                began = time.monotonic()
                await self._round()
                await asyncio.sleep(max(0.0, began + self._interval - time.monotonic()))
        finally:
            for task in self._asked:
                task.cancel()

    async def _round(self) -> None:
        """Ask all of them, spread over the interval."""
        settled = time.time() - self._interval
        sessions = [session for session in self._fleet if not pushes(session) and session.connected_at <= settled]
        for session in sessions:
            await self._places.acquire()
            task = asyncio.create_task(self._ask(session))
            self._asked.add(task)
            task.add_done_callback(self._asked.discard)
            await asyncio.sleep(self._interval / len(sessions) / 2)

    async def _ask(self, session: Session) -> None:
        try:
            if self._fleet.session(session.backend_id) is not session:
                return
            answer = await self._fleet.ask(session.backend_id, Telemetry(stat_types=[*_KINDS]), self._interval)
        except AskError:  # counted among the outcomes of requests; the next round asks again
            return
        finally:
            self._places.release()
        self._collector.add(session.backend_id, sample_of(answer.tele_data, time.time()))


def pushes(session: Session) -> bool:
    """Return whether the agent of a session sends samples by itself."""
    return TELEMETRY in session.extensions


def sample_of(data: TeleData, at: float) -> Sample:
    """Return what a backend answered at `at` as a sample; what makes no sense is left out."""
    cores = [] if data.ttl_cpu_usage is UNSET else data.ttl_cpu_usage
    busy = [_within(core, 1) for core in cores]
    memory = [] if data.ttl_mem_usage is UNSET else [_amount(amount) * _MB for amount in data.ttl_mem_usage]
    disks = [] if data.disk_util is UNSET else [_disk(numbers) for numbers in data.disk_util.values()]
    has_memory, has_disks = len(memory) == 3 and sum(memory) > 0, any(sum(disk) for disk in disks)
    return Sample(
        at=round(at, 3),
        cpu=sum(busy) / len(busy) if busy else None,
        cpu_busiest=max(busy) if busy else None,
        memory_used=memory[0] if has_memory else None,
        memory_total=min(_LARGEST, sum(memory)) if has_memory else None,
        disk_used=min(_LARGEST, sum(used for used, _ in disks)) if has_disks else None,
        disk_total=min(_LARGEST, sum(map(sum, disks))) if has_disks else None,
        disk_fullest=max(used / (used + free) for used, free in disks if used + free) if has_disks else None,
    )


def _disk(numbers: Sequence[int]) -> tuple[float, float]:
    used, free = (*numbers, 0, 0)[:2]
    return _amount(used), _amount(free)


def _amount(number: float) -> float:
    return _within(number, 2**43)


def _within(number: float, most: int) -> float:
    # Compared before it is converted: JSON may bring a whole number that no float can hold.
    return float(min(max(number, 0), most))
