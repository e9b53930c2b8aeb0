"""Where alerts are told: webhooks and e-mail addresses."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import delete, exists, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quix.store.audit import Entry, append
from quix.store.database import Database
from quix.store.errors import AlreadyExistsError
from quix.store.tables import alert_channels, alert_rules

LONGEST_ERROR: Final = 500


class ChannelKind(StrEnum):
    WEBHOOK = "webhook"
    EMAIL = "email"


class Channel(Struct, frozen=True, kw_only=True):
    """Where alerts are told. A webhook has a `url`, and maybe a secret that its messages are signed with; e-mail goes
    `to` addresses. `last_sent_at` (epoch seconds) is when a message last arrived; `last_error` is why the last attempt
    failed, and null where it did not."""

    id: str
    name: str
    kind: ChannelKind
    url: str | None
    to: list[str]
    has_secret: bool
    created_at: float
    last_sent_at: float | None
    last_error: str | None


_COLUMNS: Final = (
    *(column for column in alert_channels.c if column.name != "secret"),
    alert_channels.c.secret.is_not(None).label("has_secret"),
)
_texts = msgspec.json.Decoder(list[str]).decode
_encode = msgspec.json.Encoder().encode


class AlertChannels:
    """The channels of the store, by id."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def page(self, after: str | None, limit: int) -> list[Channel]:
        """Return up to `limit` channels, oldest first, past the id `after`."""
        statement = select(*_COLUMNS).where(alert_channels.c.id > (after or "")).order_by(alert_channels.c.id)
        async with self._database.read() as connection:
            return [_channel(row) for row in (await connection.execute(statement.limit(limit))).mappings()]

    async def find(self, text: str) -> Channel | None:
        """Return the channel of an id or a name."""
        columns = alert_channels.c
        statement = select(*_COLUMNS).where(or_(columns.id == text, columns.name == text))
        async with self._database.read() as connection:
            found = [_channel(row) for row in (await connection.execute(statement)).mappings()]
        return next((channel for channel in found if channel.id == text), found[0] if found else None)

    async def secret(self, channel_id: str) -> bytes | None:
        """Return the sealed secret of a channel."""
        async with self._database.read() as connection:
            statement = select(alert_channels.c.secret).where(alert_channels.c.id == channel_id)
            found: bytes | None = await connection.scalar(statement)
        return found

    async def add(self, channel: Channel, secret: bytes | None, entry: Entry) -> None:
        """Add a channel with its sealed secret.

        Raises:
            AlreadyExistsError: there is one of that name.
        """
        async with self._database.write() as connection:
            await _must_be_free(connection, channel)
            await connection.execute(insert(alert_channels).values({**_row(channel), "secret": secret}))
            await append(connection, self._clock(), entry)

    async def put(self, channel: Channel, secret: bytes | None, entry: Entry) -> bool:
        """Keep a channel as it is now; return whether there is one still. Raises as `add`."""
        values = {**_row(channel), "secret": secret}
        for name in ("id", "kind", "created_at", "last_sent_at", "last_error"):
            del values[name]
        statement = update(alert_channels).where(alert_channels.c.id == channel.id).values(values)
        async with self._database.write() as connection:
            await _must_be_free(connection, channel)
            done = await connection.execute(statement)
            if done.rowcount:
                await append(connection, self._clock(), entry)
        return done.rowcount > 0

    async def remove(self, channel_id: str, entry: Entry) -> bool:
        """Remove a channel, what waits to be sent by it, and its mention in rules; return whether there was one."""
        rules = alert_rules.c
        async with self._database.write() as connection:
            done = await connection.execute(delete(alert_channels).where(alert_channels.c.id == channel_id))
            if not done.rowcount:
                return False
            holders = select(rules.id, rules.channels).where(rules.channels.contains(channel_id))
            for row in (await connection.execute(holders)).all():
                left = _encode([each for each in _texts(row.channels) if each != channel_id]).decode()
                await connection.execute(update(alert_rules).where(rules.id == row.id).values(channels=left))
            await append(connection, self._clock(), entry)
        return True

    async def note(self, channel_id: str, error: str | None) -> None:
        """A message has just arrived, or has not for this `error`."""
        values: dict[str, Any] = {"last_error": error if error is None else error[:LONGEST_ERROR]}
        if error is None:
            values["last_sent_at"] = self._clock()
        async with self._database.write() as connection:
            await connection.execute(update(alert_channels).where(alert_channels.c.id == channel_id).values(values))


async def _must_be_free(connection: AsyncConnection, channel: Channel) -> None:
    columns = alert_channels.c
    namesake = select(exists().where(columns.name == channel.name, columns.id != channel.id))
    if await connection.scalar(namesake):
        raise AlreadyExistsError(f"a channel named {channel.name}")


def _row(channel: Channel) -> dict[str, Any]:
    row = msgspec.structs.asdict(channel)
    del row["has_secret"]
    return {**row, "kind": channel.kind.value, "to": _encode(channel.to).decode()}


def _channel(row: Any) -> Channel:
    return Channel(**{**row, "kind": ChannelKind(row["kind"]), "to": _texts(row["to"])})
