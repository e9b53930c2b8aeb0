"""What happens, as it happens: server-sent events."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated, Final

from litestar import get
from litestar.params import HeaderParameter, QueryParameter
from litestar.response import Stream
from msgspec import Struct

from quix.api.access import AsUser, Parts, one_backend
from quix.api.choices import choices_of, chosen
from quix.api.errors import raises
from quix.api.guards import bearer_token, still_holds
from quix.api.problems import NAMING, Problem
from quix.server.accounts import can_administer, can_read
from quix.server.caller import Caller
from quix.server.control import Control
from quix.server.events import OF_USERS, Event, Kept, Kind, Reader, frame

TAG = "events"

_AT_ONCE: Final = 200
"""Events that go out together."""

_CHECK: Final = 5.0
"""Seconds after which it is looked at again whether the login still holds."""

_SILENCE: Final = 15.0
"""Seconds of silence after which a comment says that the server is still there."""

_CHOICES: Final = [kind.value for kind in Kind if kind is not Kind.RESET]

Kinds = Annotated[
    str | None,
    QueryParameter(
        name="kind",
        description=f"Only these, separated by commas: {', '.join(_CHOICES)}.",
        schema_extra=choices_of(_CHOICES),
    ),
]
OfBackend = Annotated[
    str | None, QueryParameter(name="backend", description="Only what is about this backend: its id, or its name.")
]


LastId = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID", pattern=r"^[0-9]{0,16}(?!\n)$", description="Go on after the event of this id."
    ),
]


class _Sight(Struct, frozen=True):
    """What of all that happens a stream shows."""

    caller: Caller
    kinds: frozenset[str]
    backend_id: str | None

    def shows(self, event: Event) -> bool:
        if self.kinds and event.kind not in self.kinds:
            return False
        if self.backend_id is not None and event.backend_id != self.backend_id:
            return False
        if event.kind in OF_USERS:
            return can_administer(self.caller.role) and self.caller.sight.is_whole
        return True


@get(
    "/events",
    operation_id="followEvents",
    summary="Follow what happens",
    tags=[TAG],
    may=can_read,
    media_type="text/event-stream",
    responses=raises(Problem.REQUEST_INVALID, *NAMING),
)
async def follow_events(
    control: Parts, request: AsUser, kind: Kinds = None, backend: OfBackend = None, last_event_id: LastId = None
) -> Stream:
    """Stream what happens from now on, or with `Last-Event-ID` after the event of that id.

    Each event is named by its kind, and its data is `id`, `at`, `kind`, `backend_id` and `data`. After `reset` events
    were missed, and what is shown has to be loaded anew. The stream ends where the login does.
    """
    backend_id = None if backend is None else (await one_backend(control, backend, request.user.sight)).id
    kinds = () if kind is None else chosen("kind", kind, _CHOICES)
    sight = _Sight(request.user, frozenset(kinds), backend_id)
    reader = control.events.read(int(last_event_id) if last_event_id else None)
    stream = _stream(control, reader, sight, bearer_token(request))
    return Stream(stream, media_type="text/event-stream")


async def _stream(control: Control, reader: Reader, sight: _Sight, token: str) -> AsyncIterator[bytes]:
    # At once, so that whoever is cut off before anything happens goes on from here.
    yield _still_here(reader)
    said = checked = time.monotonic()
    while not reader.is_over:
        if time.monotonic() - checked > _CHECK:
            if not await still_holds(control, sight.caller, token):
                return
            checked = time.monotonic()
        if reader.is_late:
            yield frame(reader.skip())
        frames = [kept.frame for kept in await _seen(control, reader.take(), sight)]
        for begin in range(0, len(frames), _AT_ONCE):
            yield b"".join(frames[begin : begin + _AT_ONCE])
        if frames or time.monotonic() - said > _SILENCE:
            yield _still_here(reader)
            said = time.monotonic()
        await reader.wait(_CHECK)


async def _seen(control: Control, found: list[Kept], sight: _Sight) -> list[Kept]:
    """Return those of some events that the stream shows."""
    shown = [kept for kept in found if sight.shows(kept.event)]
    its = sight.caller.sight
    if its.is_whole:
        return shown
    ids = list({kept.event.backend_id for kept in shown if kept.labels is None})
    visible: set[str] = set()
    for begin in range(0, len(ids), _AT_ONCE):
        visible |= await control.store.backends.visible(ids[begin : begin + _AT_ONCE], its)
    return [
        kept
        for kept in shown
        if (kept.event.backend_id in visible if kept.labels is None else its.sees(kept.event.backend_id, kept.labels))
    ]


def _still_here(reader: Reader) -> bytes:
    """Return a comment, and an id without an event: what is not shown need not be looked at again."""
    return b": still here\nid: %d\n\n" % reader.place
