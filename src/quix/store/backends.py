"""Machines that have enrolled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Select, bindparam, delete, insert, select, update

from quix.store.database import Database
from quix.store.ids import new_id
from quix.store.leases import release
from quix.store.tables import backends
from quix.store.tokens import BACKEND, Tokens
from quix.wire.messages import AgentFacts


class Backend(Struct, frozen=True):
    """`name` is the id until the agent has told its facts, and need not be unique. `address` is where it last
    connected from. Times in epoch seconds."""

    id: str
    name: str
    enrolled_by: str
    created_at: float
    last_seen: float
    address: str
    facts: AgentFacts | None


_facts = msgspec.json.Decoder(AgentFacts).decode


class Backends:
    """The backends of the store, by id."""

    def __init__(self, database: Database, tokens: Tokens, clock: Callable[[], float]) -> None:
        self._database = database
        self._tokens = tokens
        self._clock = clock

    async def create(self, enrolled_by: str, address: str) -> Backend:
        """Add a backend that the user `enrolled_by` enrols from `address`."""
        now = self._clock()
        new = new_id(now)
        backend = Backend(new, new, enrolled_by, now, now, address, None)
        async with self._database.write() as connection:
            await connection.execute(insert(backends).values(msgspec.structs.asdict(backend)))
        return backend

    async def get(self, backend_id: str) -> Backend | None:
        found = await self._select(select(backends).where(backends.c.id == backend_id))
        return found[0] if found else None

    async def find(self, text: str) -> list[Backend]:
        """Return the backend with this id, else all that have this name."""
        by_id = await self.get(text)
        if by_id is not None:
            return [by_id]
        return await self._select(select(backends).where(backends.c.name == text).order_by(backends.c.id))

    async def page(self, after: str | None, limit: int) -> list[Backend]:
        """Return up to `limit` backends, oldest first, those past the id `after`."""
        statement = select(backends).where(backends.c.id > (after or "")).order_by(backends.c.id).limit(limit)
        return await self._select(statement)

    async def _select(self, statement: Select[Any]) -> list[Backend]:
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).mappings().all()
        return [Backend(**{**row, "facts": None if row["facts"] is None else _facts(row["facts"])}) for row in rows]

    async def set_facts(self, backend_id: str, facts: AgentFacts) -> bool:
        """Keep what the agent says of its machine, its name with it; return whether there is such a backend."""
        values = {"name": facts.name, "facts": msgspec.json.encode(facts).decode()}
        statement = update(backends).where(backends.c.id == backend_id).values(values)
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount > 0

    async def seen(self, addresses: Mapping[str, str], at: float) -> None:
        """These backends (by id: the address it is connected from) were there at `at`; one transaction for all."""
        if not addresses:
            return
        statement = update(backends).where(backends.c.id == bindparam("seen_id"))
        statement = statement.values(last_seen=at, address=bindparam("seen_address"))
        rows = [{"seen_id": backend_id, "seen_address": address} for backend_id, address in addresses.items()]
        async with self._database.write() as connection:
            await connection.execute(statement, rows)

    async def remove(self, backend_id: str) -> bool:
        """Forget a backend: its tokens and its runs go with it, and its leased addresses into quarantine.

        Return whether there was one.
        """
        async with self._database.write() as connection:
            await release(connection, backend_id, self._clock())
            done = await connection.execute(delete(backends).where(backends.c.id == backend_id))
            await self._tokens.drop(connection, BACKEND, backend_id)
        self._tokens.forget_subject(BACKEND, backend_id)
        return done.rowcount > 0
