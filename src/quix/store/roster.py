"""All backends in short: what a part of the server that watches the whole fleet has to know of each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import select

from quix.store.database import Database
from quix.store.tables import backends, labels

_CHUNK: Final = 500


class Known(Struct, frozen=True):
    """A backend that is not revoked. `was_here`: it has been connected at some time."""

    id: str
    name: str
    labels: dict[str, str]
    was_here: bool


class Roster:
    """The backends of the store, without those that are revoked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> AsyncIterator[list[Known]]:
        """Yield all backends, some at a time."""
        after = ""
        while found := await self._select(backends.c.id > after):
            yield found
            after = found[-1].id

    async def some(self, backend_ids: Sequence[str]) -> list[Known]:
        """Return those of some backends that there are."""
        found: list[Known] = []
        for begin in range(0, len(backend_ids), _CHUNK):
            found += await self._select(backends.c.id.in_(backend_ids[begin : begin + _CHUNK]))
        return found

    async def _select(self, condition: Any) -> list[Known]:
        columns = backends.c
        chosen = select(columns.id).where(condition, columns.revoked_at.is_(None)).order_by(columns.id).limit(_CHUNK)
        statement = select(columns.id, columns.name, columns.created_at, columns.last_seen)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement.where(columns.id.in_(chosen)).order_by(columns.id))).all()
        ids = [row.id for row in rows]
        pairs: dict[str, dict[str, str]] = {}
        async with self._database.read() as connection:
            for row in await connection.execute(select(labels).where(labels.c.backend_id.in_(ids))):
                pairs.setdefault(row.backend_id, {})[row.name] = row.value
        return [Known(row.id, row.name, pairs.get(row.id, {}), row.last_seen > row.created_at) for row in rows]
