"""Two timers for all connections of a process: one for deadlines of requests, one for liveness.

A timer a connection would cost memory and wake-ups in proportion to the fleet. The first of these two runs ten times a
second, and only while a request is in flight somewhere; the second once a second, and looks at the twentieth of the
connections whose turn it is to be pinged.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

PING_INTERVAL: Final = 20
"""Seconds between two pings on a connection; also how many slots the connections are spread over."""

_SWEEP_INTERVAL: Final = 0.1
_BEAT_INTERVAL: Final = 1.0


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
        self._seconds = 0
        self._sweeping: asyncio.TimerHandle | None = None
        self._beating: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._beating = asyncio.get_running_loop().call_later(_BEAT_INTERVAL, self._beat)

    def stop(self) -> None:
        for timer in (self._sweeping, self._beating):
            if timer is not None:
                timer.cancel()
        self._sweeping = self._beating = None

    def add(self, connection: Watched) -> None:
        """Ping `connection` from now on; its first beat comes after a whole interval, less a second at most."""
        slot = self._seconds % PING_INTERVAL
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
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(_SWEEP_INTERVAL, self._sweep)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._asking = {connection for connection in self._asking if connection.expire(now)}
        self._sweeping = loop.call_later(_SWEEP_INTERVAL, self._sweep) if self._asking else None

    def _beat(self) -> None:
        self._beating = asyncio.get_running_loop().call_later(_BEAT_INTERVAL, self._beat)
        self._seconds += 1
        for connection in tuple(self._slots[self._seconds % PING_INTERVAL]):
            connection.beat()
