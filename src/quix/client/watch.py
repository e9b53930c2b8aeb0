# Made from aio/watch.py by tools/sync_client.py: change that, and run `make sdk`.

"""Reading a stream of events (WHATWG HTML, section 9.2) that goes on after whatever cuts it off."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Final

from quix.client.connection import Connection
from quix.client.errors import FaultError, OfflineError, ServerUnreachableError
from quix.client.models import Event
from quix.client.transport import decode
from quix.exits import QuixError

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0

_PASSING: Final = (FaultError, OfflineError, ServerUnreachableError)


class Watcher:
    """Reads events, and connects again where the stream ends."""

    def __init__(
        self,
        connection: Connection,
        params: dict[str, str],
        after: int | None,
        patience: float,
        trouble: Callable[[QuixError], None],
    ) -> None:
        self._connection = connection
        self._params = params
        self._last = "" if after is None else str(after)
        self._patience = patience
        self._trouble = trouble
        self._heard_at = time.monotonic()
        self._pause = _FIRST_PAUSE

    def events(self) -> Generator[Event]:
        """Yield events without an end.

        Raises:
            QuixError: the server says no, or was not heard for as long as there is patience.
        """
        self._heard_at = time.monotonic()
        while True:
            try:
                with closing(self._read()) as found:
                    yield from found
            except _PASSING as error:
                if time.monotonic() + self._pause > self._heard_at + self._patience:
                    raise
                self._trouble(error)
            time.sleep(self._pause)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    def _read(self) -> Generator[Event]:
        headers = {"Last-Event-ID": self._last} if self._last else {}
        place, data = self._last, b""
        with closing(self._connection.lines("/events", self._params, headers)) as lines:
            for line in lines:
                self._heard_at = time.monotonic()
                self._pause = _FIRST_PAUSE
                name, _, value = line.partition(b":")
                value = value.removeprefix(b" ")
                if name == b"id":
                    place = value.decode(errors="replace")
                elif name == b"data":
                    data = value
                elif not line:
                    self._last = place  # not before: a stream that is cut off inside of an event has not told it
                    if data:
                        yield decode(self._connection.url, data, Event)
                    data = b""
