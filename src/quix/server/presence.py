"""When each backend was last here, written to the store in batches."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from quix import logs
from quix.store import Store
from quix.store.errors import StoreUnavailableError

log = logs.get(__name__)

_FLUSH_INTERVAL: Final = 1.0
"""Seconds between writes: a fleet that reconnects at once then costs a few writes, not one a backend."""


class Presence:
    """Collects sightings and writes them once a second, from `run()`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sightings: dict[str, str] = {}

    def seen(self, backend_id: str, address: str) -> None:
        """The backend is, or was until now, connected from `address`."""
        self._sightings[backend_id] = address

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(_FLUSH_INTERVAL)
            await self.flush()

    async def flush(self) -> None:
        """Write what was collected; what the store can't take now is kept for the next time."""
        if not self._sightings:
            return
        sightings, self._sightings = self._sightings, {}
        try:
            await self._store.backends.seen(sightings, time.time())
        except StoreUnavailableError as error:
            log.warning("last-seen times not written; will try again", error=str(error))
            self._sightings = {**sightings, **self._sightings}
