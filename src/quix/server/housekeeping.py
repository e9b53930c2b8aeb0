"""What a server clears away while it runs."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from quix import logs
from quix.store import Store
from quix.store.errors import StoreUnavailableError

log = logs.get(__name__)

_INTERVAL: Final = 3600.0


async def keep_house(store: Store) -> None:
    """Delete tokens that have expired, at the start and once an hour, until cancelled."""
    while True:
        try:
            if count := await store.tokens.purge(time.time()):
                log.info("expired tokens deleted", count=count)
        except StoreUnavailableError as error:
            log.warning("expired tokens not deleted; will try again", error=str(error))
        await asyncio.sleep(_INTERVAL)
