"""The outbox: messages about alerts that wait to be sent, whatever becomes of the process meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quix import logs
from quix.store.database import Database
from quix.store.tables import alert_channels, alert_messages

log = logs.get(__name__)

MOST: Final = 1000
"""Messages that wait for one channel at most."""


class Message(Struct, frozen=True, kw_only=True):
    """`body` is JSON. `attempts` have failed; the next is at `due_at` (epoch seconds)."""

    id: str
    channel_id: str
    body: str
    created_at: float
    due_at: float
    attempts: int = 0


class AlertMessages:
    """The messages of the store that wait."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def first(self) -> list[Message]:
        """Return the oldest message of each channel, due or not: those behind it wait for it."""
        heads = select(func.min(alert_messages.c.id)).group_by(alert_messages.c.channel_id)
        async with self._database.read() as connection:
            rows = await connection.execute(select(alert_messages).where(alert_messages.c.id.in_(heads)))
            return [Message(**row) for row in rows.mappings()]

    async def postpone(self, message: Message, due_at: float) -> None:
        """An attempt has failed; the next is at `due_at`."""
        statement = update(alert_messages).where(alert_messages.c.id == message.id)
        async with self._database.write() as connection:
            await connection.execute(statement.values(due_at=due_at, attempts=message.attempts + 1))

    async def drop(self, message: Message) -> None:
        """The message was sent, or is given up."""
        async with self._database.write() as connection:
            await connection.execute(delete(alert_messages).where(alert_messages.c.id == message.id))


async def add_messages(connection: AsyncConnection, messages: Sequence[Message]) -> None:
    """Part of another noun's transaction: let messages wait to be sent. What is too much for a channel is dropped."""
    waiting = await _waiting(connection)
    # Locked, so that none is removed before its message is there.
    known = set(await connection.scalars(select(alert_channels.c.id).with_for_update(read=True)))
    rows: list[dict[str, Any]] = []
    for message in messages:
        if message.channel_id not in known:
            continue
        if waiting.get(message.channel_id, 0) >= MOST:
            log.error("a message about alerts is dropped: too many wait for its channel", channel=message.channel_id)
            continue
        rows.append(msgspec.structs.asdict(message))
    if rows:
        await connection.execute(insert(alert_messages), rows)


async def _waiting(connection: AsyncConnection) -> dict[str, int]:
    columns = alert_messages.c
    counted = select(columns.channel_id, func.count()).group_by(columns.channel_id)
    return {row[0]: row[1] for row in (await connection.execute(counted)).all()}
