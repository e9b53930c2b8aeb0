"""One thread, one selector: who wants to know of which descriptor.

Not asyncio: there are a handful of descriptors and one connection, and a process that sits on every backend should be
small.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable
from typing import Final, Protocol

READ: Final = selectors.EVENT_READ
WRITE: Final = selectors.EVENT_WRITE

Callback = Callable[[int], None]
"""Called with the events that came (`READ`, `WRITE` or both)."""


class HasFileno(Protocol):
    def fileno(self) -> int: ...


Watched = int | HasFileno


class Loop:
    """Runs callbacks until it is stopped."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._stopped = False

    def watch(self, target: Watched, events: int, callback: Callback) -> None:
        """Call `callback` whenever `target` is ready for one of `events`."""
        self._selector.register(target, events, callback)

    def change(self, target: Watched, events: int) -> None:
        """Wait for `events` of a watched target from now on."""
        self._selector.modify(target, events, self._selector.get_key(target).data)

    def forget(self, target: Watched) -> None:
        """Watch `target` no more; to be called before it is closed."""
        self._selector.unregister(target)

    def stop(self) -> None:
        """Let `run` return once the callback that is running is done."""
        self._stopped = True

    def run(self, tick: Callable[[], float | None]) -> None:
        """Serve until `stop`. `tick` is called in every round, and says for how many seconds at most to wait then."""
        while not self._stopped:
            for key, events in self._selector.select(tick()):
                # An earlier callback of this round may have closed it, and another be using its number.
                if self._selector.get_map().get(key.fd) is key and not self._stopped:
                    key.data(events)

    def close(self) -> None:
        self._selector.close()
