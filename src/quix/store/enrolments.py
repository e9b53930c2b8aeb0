"""Enrolment keys: what makes a number of machines backends, until a time.

A key's secret is 192 random bits and no password that a person has chosen, so nobody can find it by trying what people
choose, however fast a guess is: its SHA-256 is kept, as of tokens, and not a hash that is slow on purpose. That also
lets a whole fleet enrol at once without waiting for argon2id.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import Select, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from quix.store.audit import Entry, append
from quix.store.database import Database
from quix.store.errors import AlreadyExistsError, EnrolmentOverError
from quix.store.ids import new_id
from quix.store.tables import enrolments

PREFIX: Final = "key-"
"""What names of keys begin with."""

_NAME_BYTES: Final = 5
_SECRET_BYTES: Final = 24

_labels = msgspec.json.Decoder(dict[str, str]).decode


class Enrolment(Struct, frozen=True, kw_only=True):
    """An enrolment key: `used` of its `uses` are taken. `labels` are given to each backend. Times in epoch seconds."""

    id: str
    name: str
    created_by: str
    created_at: float
    expires_at: float
    uses: int
    used: int = 0
    labels: dict[str, str] = {}


_COLUMNS: Final = tuple(enrolments.c[name] for name in Enrolment.__struct_fields__)


class Enrolments:
    """The enrolment keys of the store. One that is over is never listed; housekeeping deletes it."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def new(self, created_by: str, validity_s: float, uses: int, labels: Mapping[str, str]) -> Enrolment:
        """Return a key that `add` makes valid."""
        now = self._clock()
        # Lower case and digits, to be read aloud.
        name = PREFIX + secrets.token_hex(_NAME_BYTES)
        return Enrolment(
            id=new_id(now),
            name=name,
            created_by=created_by,
            created_at=now,
            expires_at=now + validity_s,
            uses=uses,
            labels=dict(labels),
        )

    async def add(self, key: Enrolment, entry: Entry | None = None) -> str:
        """Keep a key, and with it a row of the audit; return its secret, which only the caller ever sees.

        Raises:
            AlreadyExistsError: one of that name is there, which chance alone can bring about.
        """
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        row = {**msgspec.structs.asdict(key), "labels": msgspec.json.encode(key.labels).decode()}
        try:
            async with self._database.write() as connection:
                await connection.execute(insert(enrolments).values({**row, "digest": _digest(secret)}))
                await append(connection, key.created_at, entry)
        except IntegrityError as error:
            raise AlreadyExistsError(f"an enrolment key named {key.name}") from error
        return secret

    async def page(self, after: str | None, limit: int) -> list[Enrolment]:
        """Return up to `limit` keys that are not over, used up ones among them, oldest first, past the id `after`."""
        wanted = select(*_COLUMNS).where(enrolments.c.id > (after or ""), enrolments.c.expires_at > self._clock())
        return await self._select(wanted.order_by(enrolments.c.id).limit(limit))

    async def named(self, name: str) -> Enrolment | None:
        """Return the key of that name, also one that is over and not deleted yet."""
        found = await self._select(select(*_COLUMNS).where(enrolments.c.name == name))
        return found[0] if found else None

    async def is_secret(self, key: Enrolment, secret: str) -> bool:
        """Whether this is the secret of a key. The comparison takes as long for a wrong one."""
        async with self._database.read() as connection:
            known = await connection.scalar(select(enrolments.c.digest).where(enrolments.c.id == key.id))
        return known is not None and hmac.compare_digest(known, _digest(secret))

    async def end(self, key_id: str, entry: Entry | None = None) -> bool:
        """End a key; return whether there was one that was not over. Backends that came with it stay."""
        lives = enrolments.c.id == key_id, enrolments.c.expires_at > self._clock()
        async with self._database.write() as connection:
            done = await connection.execute(delete(enrolments).where(*lives))
            if done.rowcount:
                await append(connection, self._clock(), entry)
        return done.rowcount > 0

    async def purge(self, now: float) -> int:
        """Delete the keys that are over; return how many."""
        async with self._database.write() as connection:
            return (await connection.execute(delete(enrolments).where(enrolments.c.expires_at <= now))).rowcount

    async def _select(self, statement: Select[Any]) -> list[Enrolment]:
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).mappings().all()
        return [Enrolment(**{**row, "labels": _labels(row["labels"])}) for row in rows]


async def take_use(connection: AsyncConnection, key_id: str, now: float) -> None:
    """Part of the transaction that makes a backend: take one of a key's uses. One statement asks and takes, so two
    machines never share the last one.

    Raises:
        EnrolmentOverError: there is none left, or the key is over or gone.
    """
    left = enrolments.c.id == key_id, enrolments.c.used < enrolments.c.uses, enrolments.c.expires_at > now
    done = await connection.execute(update(enrolments).where(*left).values(used=enrolments.c.used + 1))
    if not done.rowcount:
        raise EnrolmentOverError


async def return_use(connection: AsyncConnection, key_id: str) -> None:
    """Part of the transaction that removes a backend which never learnt that it was one."""
    taken = enrolments.c.id == key_id, enrolments.c.used > 0
    await connection.execute(update(enrolments).where(*taken).values(used=enrolments.c.used - 1))


def _digest(secret: str) -> bytes:
    # What a peer sends may hold what is not UTF-8.
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()
