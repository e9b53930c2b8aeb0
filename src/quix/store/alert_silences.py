"""Silences: for a time, alerts are kept and shown and nobody is told of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import delete, insert, or_, select

from quix.store.audit import Entry, append
from quix.store.database import Database
from quix.store.sight import EVERYTHING, Sight, is_seen
from quix.store.tables import alert_silences


class Silence(Struct, frozen=True, kw_only=True):
    """Nobody is told of alerts of the rule, of the backend and of backends with all of the labels: each where it is
    given. `until` in epoch seconds. Who made it silences nothing that he did not see then."""

    id: str
    rule_id: str | None
    backend_id: str | None
    labels: dict[str, str]
    until: float
    comment: str
    created_by: str
    created_at: float


class Hush(Struct, frozen=True):
    """A silence, and the sight of whoever made it."""

    silence: Silence
    sight: Sight

    def covers(self, rule_id: str, backend_id: str, labels: dict[str, str]) -> bool:
        silence = self.silence
        return (
            silence.rule_id in (None, rule_id)
            and silence.backend_id in (None, backend_id)
            and all(labels.get(name) == value for name, value in silence.labels.items())
            and self.sight.sees(backend_id, labels)
        )


_pairs = msgspec.json.Decoder(dict[str, str]).decode
_sight = msgspec.json.Decoder(Sight).decode
_encode = msgspec.json.Encoder().encode


class AlertSilences:
    """The silences of the store, by id."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def page(self, after: str | None, limit: int, user: str = "", sight: Sight = EVERYTHING) -> list[Silence]:
        """Return up to `limit` silences that hold, oldest first, past the id `after`: those about a backend that is
        seen, and those that `user` made."""
        return [hush.silence for hush in await self._select(self._seen(user, sight), after, limit)]

    async def get(self, silence_id: str, user: str, sight: Sight) -> Silence | None:
        """Return a silence that holds, of those that `page` lists."""
        found = await self._select((*self._seen(user, sight), alert_silences.c.id == silence_id), None, 1)
        return found[0].silence if found else None

    async def all(self) -> list[Hush]:
        """Return all that hold."""
        return await self._select((), None, None)

    async def add(self, silence: Silence, sight: Sight, entry: Entry) -> None:
        row = {
            **msgspec.structs.asdict(silence),
            "labels": _encode(silence.labels).decode(),
            "sight": _encode(sight).decode(),
        }
        async with self._database.write() as connection:
            await connection.execute(insert(alert_silences).values(row))
            await append(connection, self._clock(), entry)

    async def remove(self, silence_id: str, entry: Entry) -> bool:
        """End a silence; return whether there was one."""
        async with self._database.write() as connection:
            done = await connection.execute(delete(alert_silences).where(alert_silences.c.id == silence_id))
            if done.rowcount:
                await append(connection, self._clock(), entry)
        return done.rowcount > 0

    async def purge(self) -> int:
        """Delete those that are over; return how many."""
        async with self._database.write() as connection:
            done = await connection.execute(delete(alert_silences).where(alert_silences.c.until <= self._clock()))
        return done.rowcount

    def _seen(self, user: str, sight: Sight) -> tuple[Any, ...]:
        if sight.is_whole:
            return ()
        columns = alert_silences.c
        return (or_(columns.created_by == user, is_seen(columns.backend_id, sight)),)

    async def _select(self, where: tuple[Any, ...], after: str | None, limit: int | None) -> list[Hush]:
        columns = alert_silences.c
        statement = select(alert_silences).where(columns.until > self._clock(), columns.id > (after or ""), *where)
        async with self._database.read() as connection:
            rows = await connection.execute(statement.order_by(columns.id).limit(limit))
            return [_hush(row) for row in rows.mappings()]


def _hush(row: Any) -> Hush:
    values = dict(row)
    sight = _sight(values.pop("sight"))
    return Hush(Silence(**{**values, "labels": _pairs(values["labels"])}), sight)
