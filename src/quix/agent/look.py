"""A blocking look at the machine, kept off the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Look(Generic[T]):
    """Calls `work` in a thread of its own, at most one at a time; who comes meanwhile shares it.

    A disk that answers no more holds its caller in the kernel for good. The thread is then lost, but only
    that one: nobody waits longer than `limit` seconds, no second thread is sent after it, and since it is a
    daemon it does not keep the agent from ending.
    """

    def __init__(self, work: Callable[[], T], limit: float) -> None:
        self._work = work
        self._limit = limit
        self._running: asyncio.Future[T] | None = None

    @property
    def is_running(self) -> bool:
        """Whether a look is under way (or stuck)."""
        return self._running is not None and not self._running.done()

    async def take(self) -> T:
        """Return what `work` returns; what it raises is raised here.

        Raises:
            TimeoutError: it did not end within `limit` seconds.
        """
        if self._running is None or self._running.done():
            self._running = self._start()
        running = self._running
        done, _ = await asyncio.wait([running], timeout=self._limit)
        if not done:
            raise TimeoutError
        return running.result()

    def _start(self) -> asyncio.Future[T]:
        outcome: Future[T] = Future()
        threading.Thread(target=self._run, args=(outcome,), name="quix-look", daemon=True).start()
        return asyncio.wrap_future(outcome)

    def _run(self, outcome: Future[T]) -> None:
        try:
            result = self._work()
        except BaseException as error:  # noqa: BLE001 - it is raised again where the look is awaited
            outcome.set_exception(error)
        else:
            outcome.set_result(result)
