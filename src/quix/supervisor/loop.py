"""One thread, one selector: who wants to know of which descriptor.

Not asyncio: there are a handful of descriptors and one connection, and a process that sits on every backend should be
small.
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import time
from collections.abc import Callable
from typing import Final, Protocol

READ: Final = selectors.EVENT_READ
WRITE: Final = selectors.EVENT_WRITE

_FEW: Final = 64

Callback = Callable[[int], None]
"""Called with the events that came (`READ`, `WRITE` or both)."""


class HasFileno(Protocol):
    def fileno(self) -> int: ...


Watched = int | HasFileno


class Timer:
    """Something that will be done, unless it is cancelled before."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work: Callable[[], None] | None = work

    def cancel(self) -> None:
        self.work = None


class Loop:
    """Runs callbacks until it is stopped."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._stopped = False
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._many = _FEW

    def watch(self, target: Watched, events: int, callback: Callback) -> None:
        """Call `callback` whenever `target` is ready for one of `events`."""
        self._selector.register(target, events, callback)

    def change(self, target: Watched, events: int) -> None:
        """Wait for `events` of a watched target from now on."""
        self._selector.modify(target, events, self._selector.get_key(target).data)

    def forget(self, target: Watched) -> None:
        """Watch `target` no more; to be called before it is closed."""
        self._selector.unregister(target)

    def later(self, seconds: float, work: Callable[[], None]) -> Timer:
        """Call `work` once, in `seconds`."""
        timer = Timer(work)
        if len(self._timers) >= self._many:  # most may be cancelled, and would stay until their time
            self._timers = [entry for entry in self._timers if entry[2].work is not None]
            heapq.heapify(self._timers)
            self._many = 2 * len(self._timers) + _FEW
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), timer))
        return timer

    def stop(self) -> None:
        """Let `run` return once the callback that is running is done."""
        self._stopped = True

    def run(self, tick: Callable[[], float | None]) -> None:
        """Serve until `stop`. `tick` is called in every round, and says for how many seconds at most to wait then."""
        while not self._stopped:
            for key, events in self._selector.select(self._soonest(tick())):
                # An earlier callback of this round may have closed it, and another be using its number.
                if self._selector.get_map().get(key.fd) is key and not self._stopped:
                    key.data(events)
            self._fire()

    def _soonest(self, limit: float | None) -> float | None:
        while self._timers and self._timers[0][2].work is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return limit
        left = max(0.0, self._timers[0][0] - time.monotonic())
        return left if limit is None else min(left, limit)

    def _fire(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now and not self._stopped:
            work = heapq.heappop(self._timers)[2].work
            if work is not None:
                work()

    def close(self) -> None:
        self._selector.close()
