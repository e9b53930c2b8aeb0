"""What happens, told to whoever watches, as it happens.

The newest events are kept in a ring, and a reader is a place in it: so a reader costs nothing, a slow one holds
nobody up, and one that was away goes on where it was for as long as the ring reaches back. Who is too late is told, and
loads everything anew.

Whether a backend is there changes a lot when a whole fleet comes back. Of that, and of what a backend is called, the
ring keeps the last event of each backend alone.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct

from quix.words import Word

RING: Final = 20_000
"""Events that are kept: room for a fleet of 10,000 that goes and comes back, and for what else happens."""

_GATHER: Final = 0.05
"""Seconds between an event and its readers' waking up: a storm of events then costs each reader few turns."""


class Kind(Word):
    """What an event is about; `sentence` says it to a person. docs/access.md lists them, and a test compares."""

    BACKEND_ENROLLED = "backend_enrolled", "A machine has become a backend, or was added as one; `enrolled_by`."
    BACKEND_CONNECTED = "backend_connected", "A backend is here; `address`."
    BACKEND_DISCONNECTED = "backend_disconnected", "A backend is no longer here; `code` and `reason` of the end."
    BACKEND_CHANGED = "backend_changed", "A backend has told, or was given, other facts; `name`."
    BACKEND_REVOKED = "backend_revoked", "A backend's token and VPN lease were ended; `name`."
    BACKEND_REMOVED = "backend_removed", "A backend was removed; `name`."
    RUN_STARTED = "run_started", "A program was started; `run`, `proc_id`, `started_by`."
    RUN_CHANGED = "run_changed", "A run is in another state; `run`, `state`."
    RUN_ENDED = "run_ended", "A run is over, or was refused; `run`, `state`, `outcome`, `exit_code`, `exit_signal`."
    LEASE_CHANGED = "lease_changed", "A VPN lease was given, withdrawn or restored; `conf_type`, `change`."
    TUNNEL_CHANGED = (
        "tunnel_changed",
        "A backend was told to bring its VPN tunnel up or down, or to make new keys; `conf_type`, `change`.",
    )
    ALERT_RAISED = "alert_raised", "A rule holds for a backend; `alert`, `rule`, `severity`, `value`."
    ALERT_RESOLVED = "alert_resolved", "An alert is over; `alert`, `rule`, `severity`, `value`."
    USER_ADDED = "user_added", "There is another user; `name`. For admins alone, as the next two."
    USER_CHANGED = "user_changed", "A user has another role or password; `name`."
    USER_REMOVED = "user_removed", "A user was removed; `name`."
    RESET = "reset", "Events were missed: load everything anew, then go on from here."


OF_USERS: Final = frozenset({Kind.USER_ADDED, Kind.USER_CHANGED, Kind.USER_REMOVED})

_SLOTS: Final = {
    Kind.BACKEND_CONNECTED: "presence",
    Kind.BACKEND_DISCONNECTED: "presence",
    Kind.BACKEND_CHANGED: "facts",
}
"""Kinds of which the last event of a backend says all that those before did."""


class Event(Struct, frozen=True):
    """`id` grows from event to event, also over restarts of the server. `at` in epoch seconds; `backend_id` is empty
    where it is about none."""

    id: int
    at: float
    kind: Kind
    backend_id: str
    data: dict[str, Any]


class Kept(Struct):
    """An event, and the bytes that every reader is sent. `labels` are those of a backend that is gone, by which it is
    told who saw it."""

    event: Event
    frame: bytes
    slot: tuple[str, str] | None
    labels: dict[str, str] | None


def frame(event: Event) -> bytes:
    """Return an event as one of a `text/event-stream` (WHATWG HTML, section 9.2)."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.id, event.kind.encode(), msgspec.json.encode(event))


class Hub:
    """Takes events, and wakes whoever reads them. `clock` gives epoch seconds."""

    def __init__(self, clock: Callable[[], float] = time.time, ring: int = RING) -> None:
        self._clock = clock
        self._ring = ring
        self._kept: OrderedDict[int, Kept] = OrderedDict()
        self._slots: dict[tuple[str, str], int] = {}
        # Above every id of the time before, and below 2^53, so that a browser's numbers hold it.
        self.newest = int(clock() * 1e6)
        self.lost = self.newest
        self._news = asyncio.Event()
        self._waking: asyncio.TimerHandle | None = None
        self._doors = 0

    def publish(self, kind: Kind, backend_id: str = "", gone: dict[str, str] | None = None, **data: Any) -> None:
        """Something has happened. `gone`: the labels of a backend that the store no longer knows."""
        self.newest += 1
        event = Event(self.newest, self._clock(), kind, backend_id, data)
        slot = (backend_id, _SLOTS[kind]) if kind in _SLOTS else None
        self._kept[event.id] = Kept(event, frame(event), slot, gone)
        if slot is not None:
            self._kept.pop(self._slots.get(slot, 0), None)
            self._slots[slot] = event.id
        if len(self._kept) > self._ring:
            self._forget_oldest()
        if self._waking is None:
            self._waking = asyncio.get_running_loop().call_later(_GATHER, self._wake)

    def _forget_oldest(self) -> None:
        self.lost, oldest = self._kept.popitem(last=False)
        if oldest.slot is not None:
            del self._slots[oldest.slot]

    def _wake(self) -> None:
        self._waking = None
        self._news.set()
        self._news = asyncio.Event()

    def after(self, place: int) -> list[Kept]:
        """Return the events past the id `place` that are kept, the oldest first."""
        found = []
        for number in reversed(self._kept):
            if number <= place:
                break
            found.append(self._kept[number])
        found.reverse()
        return found

    def read(self, place: int | None = None) -> Reader:
        """Return a reader of what happens after the event of the id `place`, or from now on."""
        return Reader(self, self._doors, self.newest if place is None else place)

    async def wait(self, limit: float) -> None:
        """Return when something has happened, or after `limit` seconds."""
        news = self._news
        try:
            async with asyncio.timeout(limit):
                await news.wait()
        except TimeoutError:
            pass

    def dismiss(self) -> None:
        """Have all readers of now end: the door that they came through closes."""
        self._doors += 1
        self._wake()

    def is_open(self, door: int) -> bool:
        return door == self._doors


class Reader:
    """A place in the ring."""

    def __init__(self, hub: Hub, door: int, place: int) -> None:
        self._hub = hub
        self._door = door
        self.place = place

    @property
    def is_over(self) -> bool:
        return not self._hub.is_open(self._door)

    @property
    def is_late(self) -> bool:
        """Whether events after this place are gone, or the place is of no event at all."""
        return not self._hub.lost <= self.place <= self._hub.newest

    def skip(self) -> Event:
        """Go to the newest event; return the event that says so."""
        self.place = self._hub.newest
        return Event(self.place, time.time(), Kind.RESET, "", {})

    def take(self) -> list[Kept]:
        """Return what has happened since the last time, and go past it."""
        found = self._hub.after(self.place)
        self.place = self._hub.newest
        return found

    async def wait(self, limit: float) -> None:
        """Return when there is something to take, or the reader is over, or after `limit` seconds."""
        if self.place == self._hub.newest and not self.is_over:
            await self._hub.wait(limit)
