"""One timer for all connections of a process: deadlines of requests, and liveness.

A timer a connection would cost memory and wake-ups in proportion to the fleet; this wakes up ten times
a second and then looks only at connections that have a request in flight, and once a second at the twentieth of
them whose turn it is to be pinged.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

PING_INTERVAL: Final = 20
"""Seconds between two pings on a connection; also how many slots the connections are spread over."""

_TICK: Final = 0.1
_TICKS_PER_SECOND: Final = round(1 / _TICK)


class Watched(Protocol):
    """What the clock calls on a connection."""

    def expire(self, now: float) -> bool:
        """End the requests whose deadline has passed; return whether any is still in flight."""

    def beat(self) -> None:
        """`PING_INTERVAL` seconds have gone by since the last beat."""

    def close(self, code: int, reason: str) -> None:
        """End the connection."""


class Clock:
    """Runs from `start()` to `stop()` on the running loop."""

    def __init__(self) -> None:
        self._asking: set[Watched] = set()
        self._slots: list[set[Watched]] = [set() for _ in range(PING_INTERVAL)]
        self._slot_of: dict[Watched, int] = {}
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def add(self, connection: Watched) -> None:
        """Ping `connection` from now on; its first beat comes after a whole interval, less a second at most."""
        slot = (self._ticks // _TICKS_PER_SECOND) % PING_INTERVAL
        self._slots[slot].add(connection)
        self._slot_of[connection] = slot

    @property
    def connections(self) -> list[Watched]:
        """Every connection that is open now."""
        return [*self._slot_of]

    def remove(self, connection: Watched) -> None:
        slot = self._slot_of.pop(connection, None)
        if slot is not None:
            self._slots[slot].discard(connection)

    def asking(self, connection: Watched) -> None:
        """`connection` has a request in flight: look after its deadline."""
        self._asking.add(connection)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_TICK, self._tick)
        self._ticks += 1
        now = loop.time()
        if self._asking:
            self._asking = {connection for connection in self._asking if connection.expire(now)}
        if self._ticks % _TICKS_PER_SECOND == 0:
            slot = (self._ticks // _TICKS_PER_SECOND) % PING_INTERVAL
            for connection in tuple(self._slots[slot]):
                connection.beat()
