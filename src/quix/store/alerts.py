"""What rules have raised: alerts that fire, and those that are over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import bindparam, delete, func, insert, select, update

from quix.store.alert_messages import Message, add_messages
from quix.store.alert_rules import Severity
from quix.store.database import Database
from quix.store.sight import EVERYTHING, Sight, is_seen
from quix.store.tables import alerts

State = Literal["firing", "resolved"]

NONE: Final = 0
RAISED: Final = 1
OVER: Final = 2
"""What was told of an alert."""

_CHUNK: Final = 500
"""Rows that are deleted together."""


class Alert(Struct, frozen=True, kw_only=True):
    """A rule that holds for a backend, or did. `value` is what was measured when it was raised, in the unit of the
    rule's metric; for `connection` the seconds that the backend had been away. Times in epoch seconds."""

    id: str
    rule_id: str
    rule_name: str
    severity: Severity
    backend_id: str
    backend_name: str
    state: State
    value: float
    started_at: float
    ended_at: float | None
    silenced: bool


class Untold(Struct, frozen=True):
    """Alerts that somebody is to be told of: how many, and the first of them."""

    count: int
    first: list[Alert]


Compose = Callable[[Untold, Untold], Sequence[Message]]
"""Takes what was raised and what is over; returns the messages about it."""

_COLUMNS: Final = tuple(column for column in alerts.c if column.name != "told")
_FIRING: Final = alerts.c.ended_at.is_(None)


class Alerts:
    """The alerts of the store, by id."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def newest(
        self, before: str | None, limit: int, state: State | None = None, backend_id: str | None = None,
        sight: Sight = EVERYTHING,
    ) -> list[Alert]:  # fmt: skip
        """Return up to `limit` alerts of backends that are seen, the newest first, of those before the id `before`."""
        statement = select(*_COLUMNS).where(is_seen(alerts.c.backend_id, sight))
        if before is not None:
            statement = statement.where(alerts.c.id < before)
        if state is not None:
            statement = statement.where(_FIRING if state == "firing" else ~_FIRING)
        if backend_id is not None:
            statement = statement.where(alerts.c.backend_id == backend_id)
        async with self._database.read() as connection:
            rows = await connection.execute(statement.order_by(alerts.c.id.desc()).limit(limit))
            return [_alert(row) for row in rows.mappings()]

    async def firing(self) -> list[Alert]:
        """Return all that fire."""
        async with self._database.read() as connection:
            return [_alert(row) for row in (await connection.execute(select(*_COLUMNS).where(_FIRING))).mappings()]

    # -- what happens to them -------------------------------------------------------------------

    async def raise_(self, raised: Sequence[Alert]) -> None:
        """Keep alerts that have just been raised, in one transaction."""
        rows = [{**_row(alert), "told": NONE} for alert in raised]
        async with self._database.write() as connection:
            await connection.execute(insert(alerts), rows)

    async def end(self, alert_ids: Sequence[str], at: float, *, is_quiet: bool = False) -> None:
        """These alerts are over; in one transaction. `is_quiet`: nobody is told."""
        statement = update(alerts).where(alerts.c.id == bindparam("its_id"), _FIRING)
        statement = statement.values(ended_at=at, **({"told": OVER} if is_quiet else {}))
        async with self._database.write() as connection:
            await connection.execute(statement, [{"its_id": each} for each in alert_ids])

    async def silence(self, silenced: Mapping[str, bool]) -> None:
        """These alerts are silenced now, or no longer; in one transaction."""
        statement = update(alerts).where(alerts.c.id == bindparam("its_id"))
        statement = statement.values(silenced=bindparam("is_silenced"))
        rows = [{"its_id": each, "is_silenced": is_silenced} for each, is_silenced in silenced.items()]
        async with self._database.write() as connection:
            await connection.execute(statement, rows)

    async def tell(self, rule_id: str, first: int, compose: Compose) -> int:
        """Put messages into the outbox about what nobody was told yet of a rule, and note that it was told: in one
        transaction. `first`: how many alerts a message names. Return how many messages there are."""
        raised = (alerts.c.rule_id == rule_id, alerts.c.told == NONE, _FIRING, ~alerts.c.silenced)
        over = (alerts.c.rule_id == rule_id, alerts.c.told == RAISED, ~_FIRING, ~alerts.c.silenced)
        async with self._database.read() as connection:
            # Looked at first: mostly there is nothing to tell, and a transaction would wait for others.
            either = select(alerts.c.id).where(*raised).union_all(select(alerts.c.id).where(*over)).limit(1)
            if await connection.scalar(either) is None:
                return 0
        async with self._database.write() as connection:
            messages = compose(await _untold(connection, raised, first), await _untold(connection, over, first))
            await connection.execute(update(alerts).where(*over).values(told=OVER))
            await connection.execute(update(alerts).where(*raised).values(told=RAISED))
            await add_messages(connection, messages)
        return len(messages)

    async def purge(self, before: float) -> int:
        """Delete those that were over before a time, 500 at most; return how many."""
        old = select(alerts.c.id).where(alerts.c.ended_at < before).limit(_CHUNK)
        async with self._database.write() as connection:
            return (await connection.execute(delete(alerts).where(alerts.c.id.in_(old)))).rowcount


async def _untold(connection: Any, where: tuple[Any, ...], first: int) -> Untold:
    count = await connection.scalar(select(func.count()).select_from(alerts).where(*where))
    rows = await connection.execute(select(*_COLUMNS).where(*where).order_by(alerts.c.id).limit(first))
    return Untold(count, [_alert(row) for row in rows.mappings()])


def _row(alert: Alert) -> dict[str, Any]:
    row = msgspec.structs.asdict(alert)
    del row["state"]
    return row


def _alert(row: Any) -> Alert:
    return Alert(**row, state="firing" if row["ended_at"] is None else "resolved")
