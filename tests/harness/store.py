"""What tests of the store, and of what stands on it, share."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from quix.store import Store
from quix.store.runs import Run
from quix.wire.runs import RunOptions

OpenStore = Callable[[], Awaitable[Store]]


class FakeClock:
    """Epoch seconds, which pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def no_thread_stays() -> Iterator[None]:
    """Fail where a thread that the block started is not over a moment after it."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 5
    while left := set(threading.enumerate()) - before:
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.005)


async def add_run(store: Store, backend_id: str, cmd: Sequence[str] = ("true",), user: str = "ada") -> Run:
    """Keep a run that is about to be asked for."""
    run = store.runs.new(backend_id, cmd, RunOptions(), user)
    await store.runs.add(run)
    return run
