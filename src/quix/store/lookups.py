"""Looking tokens up, many at a time.

When a server comes back, its whole fleet resumes at once. A query for each token would keep the database busy
for seconds, so all the tokens asked for in one turn of the event loop, or while a query runs, share the next one.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, Protocol, TypeVar

CHUNK: Final = 500
"""Digests in one query: enough that a fleet costs few, and so few that each is over in milliseconds."""

CACHE_LIFE: Final = 5.0
"""Seconds a found token is answered from memory. The longest time that a token which another process revoked
(`quix user remove` beside a running server) goes on being accepted; this process's own revocations act at once."""

CACHE_SIZE: Final = 4096
"""Tokens kept; it saves queries for a console or a script that asks many times a second."""


class Found(Protocol):
    """What is looked up: it knows its own key, and whom it belongs to."""

    @property
    def digest(self) -> bytes: ...

    @property
    def owner(self) -> Hashable: ...


F = TypeVar("F", bound=Found)


class _Batch(Generic[F]):
    """Digests that one query will ask for; `asked_at` is when the first of them was wanted."""

    def __init__(self, asked_at: float) -> None:
        self.asked_at = asked_at
        self.digests: set[bytes] = set()
        self.task: asyncio.Task[dict[bytes, F]]


class Lookups(Generic[F]):
    """Coalesced, cached look-ups. `fetch` runs one query for the digests it is given."""

    def __init__(self, fetch: Callable[[list[bytes]], Awaitable[list[F]]]) -> None:
        self._fetch = fetch
        self._cache: OrderedDict[bytes, tuple[F, float]] = OrderedDict()
        self._turn = asyncio.Lock()
        self._collecting: _Batch[F] | None = None
        self._tasks: set[asyncio.Task[dict[bytes, F]]] = set()
        # What was revoked since the running query began: its rows may be older than the revocation.
        self._revoked: set[Hashable] = set()

    async def find(self, digest: bytes, now: float) -> F | None:
        """Return what has this digest. `now`, epoch seconds, says how old a cached answer is.

        Raises:
            StoreUnavailableError: the database does not answer.
        """
        cached = self._cache.get(digest)
        # An age below zero: the clock was set back, and nothing is known about the entry's age.
        if cached is not None and 0 <= now - cached[1] < CACHE_LIFE:
            self._cache.move_to_end(digest)
            return cached[0]
        batch = self._collecting
        if batch is None or len(batch.digests) >= CHUNK:
            batch = self._begin(now)
        batch.digests.add(digest)
        # Shielded, since the others who share the query are not cancelled with this one.
        return (await asyncio.shield(batch.task)).get(digest)

    def cached(self, digest: bytes) -> F | None:
        """Return what is in memory of this digest, however old."""
        entry = self._cache.get(digest)
        return None if entry is None else entry[0]

    def forget_digest(self, digest: bytes) -> None:
        """This token has been revoked or changed."""
        self._revoked.add(digest)
        self._cache.pop(digest, None)

    def forget_owner(self, owner: Hashable) -> None:
        """Every token of this owner has been revoked."""
        self._revoked.add(owner)
        for digest in [digest for digest, (found, _) in self._cache.items() if found.owner == owner]:
            del self._cache[digest]

    async def close(self) -> None:
        """Return when every look-up that was asked for has been answered."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, now: float) -> _Batch[F]:
        batch: _Batch[F] = _Batch(now)
        self._collecting = batch
        batch.task = asyncio.create_task(self._run(batch))
        self._tasks.add(batch.task)
        batch.task.add_done_callback(self._tasks.discard)
        return batch

    async def _run(self, batch: _Batch[F]) -> dict[bytes, F]:
        async with self._turn:
            if self._collecting is batch:
                self._collecting = None
            self._revoked.clear()
            rows = await self._fetch(list(batch.digests))
            found = {row.digest: row for row in rows if not self._revoked & {row.digest, row.owner}}
            for row in found.values():
                self._remember(row, batch.asked_at)
            return found

    def _remember(self, row: F, asked_at: float) -> None:
        self._cache[row.digest] = (row, asked_at)
        self._cache.move_to_end(row.digest)
        if len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)
