"""Running a program on many backends, so many at a time: threads that start and follow, and what they tell."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from quix.cli.errand import Order, Reporter, carry_out
from quix.cli.tally import Result
from quix.client import Client
from quix.exits import QuixError

if TYPE_CHECKING:
    from quix.cli.targets import Target
    from quix.wire.runs import StreamName

_WAITING: Final = 64
"""Events that may wait to be shown; who tells more waits, and so, in the end, does the program."""

_CARRIERS: Final = 16
_LEAVING: Final = 5.0
"""Seconds that leaving takes at most."""


class Begun(Struct, frozen=True):
    target: Target


class Wrote(Struct, frozen=True):
    target: Target
    stream: StreamName
    data: bytes


class Noted(Struct, frozen=True):
    """Something that a person should know; nothing has ended."""

    target: Target
    text: str


class Ended(Struct, frozen=True):
    """The last event of a target."""

    target: Target
    result: Result


Event = Begun | Wrote | Noted | Ended


class Batch:
    """One program on many backends.

    Args:
        clients: what requests are made with; threads share them.
        targets: where to run it, in this order.
        order: what to run.
        parallel: on how many at a time.
        max_failures: after how many failures no more are begun; 0: never.
    """

    def __init__(
        self, clients: Sequence[Client], targets: Iterable[Target], order: Order, parallel: int, max_failures: int
    ) -> None:
        self._events: queue.Queue[Event] = queue.Queue(_WAITING)
        self._clients = clients
        self._order = order
        self._parallel = parallel
        self._max_failures = max_failures
        self._lock = threading.Lock()
        self._pending = deque(targets)
        self._skipped: list[Target] = []
        self._running: dict[str, str] = {}
        self._failures = 0
        self._working = 0
        self._signal = ""
        self._calls: queue.SimpleQueue[tuple[Callable[[Client], object], threading.Semaphore]] = queue.SimpleQueue()
        self._has_carriers = False

    def start(self) -> None:
        """Begin; every target that is begun ends in an `Ended`."""
        self._working = min(self._parallel, len(self._pending))
        for number in range(self._working):
            client = self._clients[number % len(self._clients)]
            # Daemons: who leaves does not wait for the answers that they wait for.
            threading.Thread(target=self._work, args=(client,), daemon=True, name=f"quix-many-{number}").start()

    def event(self, timeout: float) -> Event | None:
        """Return the next event, or None where there is none within so many seconds."""
        try:
            return self._events.get(timeout=timeout)
        except queue.Empty:
            return None

    @property
    def is_over(self) -> bool:
        """Whether there are no more events."""
        with self._lock:
            return self._working == 0 and self._events.empty()

    def stop(self) -> None:
        """Begin no more."""
        with self._lock:
            self._hold()

    def skipped(self) -> list[Target]:
        """Return the targets that were not begun, once it is over."""
        return self._skipped

    def pass_on(self, signal: str) -> None:
        """Signal what runs, and what is being started as soon as it does."""
        with self._lock:
            self._signal = signal
            running = [*self._running.items()]
        for backend, run in running:
            self._call(partial(Client.signal_run, backend=backend, run_id=run, mode=signal))

    def leave(self) -> dict[str, str]:
        """Have what runs wait for nobody any more, as far as that can be said in a few seconds; return the runs, by
        the ids of their backends."""
        with self._lock:
            self._hold()
            running = [*self._running.items()]
        done = threading.Semaphore(0)
        for backend, run in running:
            release = partial(Client.read_output, backend=backend, run_id=run, limit=1, unattended=True)
            self._call(release, done)
        deadline = time.monotonic() + _LEAVING
        for _ in running:
            if not done.acquire(timeout=max(0.0, deadline - time.monotonic())):
                break
        return dict(running)

    # -- one after the other --------------------------------------------------------------------

    def _work(self, client: Client) -> None:
        while (target := self._next()) is not None:
            self._events.put(Begun(target))
            began = time.monotonic()
            result = carry_out(client, target, self._order, _Teller(self, target))
            with self._lock:
                self._running.pop(target.id, None)
                self._failures += result.is_failure
                if result.is_failure and self._failures == self._max_failures:
                    self._hold()
            self._events.put(Ended(target, msgspec.structs.replace(result, seconds=time.monotonic() - began)))
        with self._lock:
            self._working -= 1

    def _next(self) -> Target | None:
        with self._lock:
            return self._pending.popleft() if self._pending else None

    def _hold(self) -> None:
        self._skipped += self._pending
        self._pending.clear()

    def tell(self, event: Event) -> None:
        """Have an event shown, when there is room for it."""
        self._events.put(event)

    def runs(self, client: Client, target: Target, run: str) -> None:
        """A target's program has been started."""
        with self._lock:
            self._running[target.id] = run
            signal = self._signal
        if signal:
            _quietly(partial(client.signal_run, target.id, run, signal))

    # -- beside them ----------------------------------------------------------------------------

    def _call(self, call: Callable[[Client], object], done: threading.Semaphore | None = None) -> None:
        if not self._has_carriers:
            self._has_carriers = True
            for number in range(_CARRIERS):
                client = self._clients[number % len(self._clients)]
                threading.Thread(target=self._carry, args=(client,), daemon=True, name="quix-many-calls").start()
        self._calls.put((call, done or threading.Semaphore(0)))

    def _carry(self, client: Client) -> None:
        while True:
            call, done = self._calls.get()
            _quietly(partial(call, client))
            done.release()


class _Teller(Reporter):
    """Tells the batch what is seen of one target."""

    def __init__(self, batch: Batch, target: Target) -> None:
        self._batch = batch
        self._target = target

    def runs(self, client: Client, run: str) -> None:
        self._batch.runs(client, self._target, run)

    def wrote(self, stream: StreamName, data: bytes) -> None:
        self._batch.tell(Wrote(self._target, stream, data))

    def noted(self, text: str) -> None:
        self._batch.tell(Noted(self._target, text))

    def is_hopeless(self) -> None:
        self._batch.stop()


def _quietly(call: Callable[[], object]) -> None:
    """Do what may come too late: a run that has just ended takes no signal. What became of it, its result says."""
    try:
        call()
    except QuixError:
        return
