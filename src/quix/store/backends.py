"""Machines that have enrolled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import RowMapping, Select, bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quix.store.audit import Entry, append
from quix.store.database import Database
from quix.store.enrolments import Enrolment, return_use, take_use
from quix.store.errors import AlreadyExistsError
from quix.store.ids import new_id
from quix.store.leases import release, withdraw
from quix.store.sight import EVERYTHING, Sight, is_seen
from quix.store.tables import backends, labels
from quix.store.tokens import BACKEND, Tokens
from quix.wire.messages import AgentFacts


class Backend(Struct, frozen=True, kw_only=True):
    """`name` is the given one, else what the agent tells, else the id; it need not be unique. `address` is where it
    last connected from. Times in epoch seconds."""

    id: str
    name: str
    enrolled_by: str
    created_at: float
    last_seen: float
    address: str
    facts: AgentFacts | None = None
    given_name: str | None = None
    given_labels: dict[str, str] = {}
    revoked_at: float | None = None

    @property
    def labels(self) -> dict[str, str]:
        """What the agent says of itself, and above that what was given to it."""
        return {**(self.facts.labels if self.facts else {}), **self.given_labels}


class Change(Struct, frozen=True, kw_only=True):
    """What a backend is to be given: a name, or None for its own; labels, each with a value or None to take it away."""

    name: str | UnsetType | None = UNSET
    labels: dict[str, str | None] = {}


_facts = msgspec.json.Decoder(AgentFacts).decode
_given = msgspec.json.Decoder(dict[str, str]).decode


def backend_of(row: RowMapping) -> Backend:
    """Return the backend of a row of the table."""
    facts = None if row["facts"] is None else _facts(row["facts"])
    return Backend(**{**row, "facts": facts, "given_labels": _given(row["given_labels"])})


class Backends:
    """The backends of the store, by id. Lists of them are `quix.store.search`."""

    def __init__(self, database: Database, tokens: Tokens, clock: Callable[[], float]) -> None:
        self._database = database
        self._tokens = tokens
        self._clock = clock

    async def create(
        self,
        enrolled_by: str,
        address: str,
        entry: Entry | None = None,
        *,
        name: str = "",
        key: Enrolment | None = None,
    ) -> Backend:
        """Add a backend that the user `enrolled_by` enrols from `address`, and with it a row of the audit. A `name` is
        given to it. With a `key`, one use of it is taken, and its labels are given.

        Raises:
            EnrolmentOverError: the key has no use left, or is over.
        """
        async with self._database.write() as connection:
            return await self._add(connection, enrolled_by, address, entry, name=name, key=key)

    async def enroll(
        self, enrolled_by: str, address: str, validity_s: float, entry: Entry | None = None, *, key: Enrolment | None
    ) -> tuple[Backend, str]:
        """Add a backend as `create` does, and return the token by which it is this backend for `validity_s` seconds:
        both or neither, since nobody could ever be a backend without one.

        Raises:
            EnrolmentOverError: the key has no use left, or is over.
        """
        async with self._database.write() as connection:
            backend = await self._add(connection, enrolled_by, address, entry, key=key)
            return backend, await self._tokens.add(connection, BACKEND, backend.id, validity_s, backend.created_at)

    async def _add(
        self,
        connection: AsyncConnection,
        enrolled_by: str,
        address: str,
        entry: Entry | None,
        *,
        name: str = "",
        key: Enrolment | None,
    ) -> Backend:
        now = self._clock()
        new = new_id(now)
        backend = Backend(
            id=new,
            name=name or new,
            enrolled_by=enrolled_by,
            created_at=now,
            last_seen=now,
            address=address,
            given_name=name or None,
            given_labels={} if key is None else key.labels,
        )
        given = msgspec.json.encode(backend.given_labels).decode()
        if key is not None:
            await take_use(connection, key.id, now)
        await connection.execute(insert(backends).values({**msgspec.structs.asdict(backend), "given_labels": given}))
        await _add_labels(connection, backend)
        if entry is not None:
            await append(connection, now, msgspec.structs.replace(entry, backend_id=new))
        return backend

    async def get(self, backend_id: str) -> Backend | None:
        found = await self._select(select(backends).where(backends.c.id == backend_id))
        return found[0] if found else None

    async def find(self, text: str, sight: Sight = EVERYTHING) -> list[Backend]:
        """Return the backend with this id, else all that have this name, of those that are seen."""
        seen = select(backends).where(is_seen(backends.c.id, sight))
        by_id = await self._select(seen.where(backends.c.id == text))
        return by_id or await self._select(seen.where(backends.c.name == text).order_by(backends.c.id))

    async def _select(self, statement: Select[Any]) -> list[Backend]:
        async with self._database.read() as connection:
            return [backend_of(row) for row in (await connection.execute(statement)).mappings().all()]

    # -- what is said of it, and given to it ----------------------------------------------------

    async def set_facts(self, backend_id: str, facts: AgentFacts) -> bool:
        """Keep what the agent says of its machine; return whether that is anything new."""
        # Looked at first: a whole fleet that comes back mostly says what it said before.
        known = await self.get(backend_id)
        if known is None or known.facts == facts:
            return False
        async with self._database.write() as connection:
            known = await self._locked(connection, backend_id)
            if known is None:
                return False
            await self._put(connection, msgspec.structs.replace(known, facts=facts))
        return True

    async def change(self, backend_id: str, change: Change, entry: Entry | None = None) -> Backend | None:
        """Give a backend a name or labels; return it as it is then, or None where there is none.

        Raises:
            AlreadyExistsError: another one has that name.
        """
        async with self._database.write() as connection:
            known = await self._locked(connection, backend_id)
            if known is None:
                return None
            given = {**known.given_labels, **change.labels}
            kept = {name: value for name, value in given.items() if value is not None}
            changed = msgspec.structs.replace(known, given_labels=kept)
            if not isinstance(change.name, UnsetType):
                await _must_be_free(connection, backend_id, change.name)
                changed = msgspec.structs.replace(changed, given_name=change.name)
            await append(connection, self._clock(), entry)
            return await self._put(connection, changed)

    async def _locked(self, connection: AsyncConnection, backend_id: str) -> Backend | None:
        statement = select(backends).where(backends.c.id == backend_id).with_for_update()
        row = (await connection.execute(statement)).mappings().one_or_none()
        return None if row is None else backend_of(row)

    async def _put(self, connection: AsyncConnection, backend: Backend) -> Backend:
        """Keep facts, name and labels of a backend; the name follows from what is given and what it says."""
        name = backend.given_name or (backend.facts.name if backend.facts else backend.id)
        values = {
            "name": name,
            "facts": None if backend.facts is None else msgspec.json.encode(backend.facts).decode(),
            "given_name": backend.given_name,
            "given_labels": msgspec.json.encode(backend.given_labels).decode(),
        }
        await connection.execute(update(backends).where(backends.c.id == backend.id).values(values))
        await connection.execute(delete(labels).where(labels.c.backend_id == backend.id))
        await _add_labels(connection, backend)
        return msgspec.structs.replace(backend, name=name)

    async def seen(self, addresses: Mapping[str, str], at: float) -> None:
        """These backends (by id: the address it is connected from) were there at `at`; one transaction for all."""
        if not addresses:
            return
        statement = update(backends).where(backends.c.id == bindparam("seen_id"))
        statement = statement.values(last_seen=at, address=bindparam("seen_address"))
        rows = [{"seen_id": backend_id, "seen_address": address} for backend_id, address in addresses.items()]
        async with self._database.write() as connection:
            await connection.execute(statement, rows)

    async def visible(self, backend_ids: Iterable[str], sight: Sight) -> set[str]:
        """Return which of these backends are seen; at most 1,000 may be asked for."""
        statement = select(backends.c.id).where(backends.c.id.in_(list(backend_ids)), is_seen(backends.c.id, sight))
        async with self._database.read() as connection:
            return set(await connection.scalars(statement))

    # -- its end --------------------------------------------------------------------------------

    async def revoke(self, backend_id: str, entry: Entry | None = None) -> bool:
        """End a backend's token and its VPN lease, and keep the rest; return whether there is such a backend.

        It cannot come back: its machine can enrol again, as another one.
        """
        now = self._clock()
        statement = update(backends).where(backends.c.id == backend_id, backends.c.revoked_at.is_(None))
        async with self._database.write() as connection:
            known = await self._locked(connection, backend_id)
            await connection.execute(statement.values(revoked_at=now))
            await self._tokens.drop(connection, BACKEND, backend_id)
            await withdraw(connection, backend_id, now)
            if known is not None:
                await append(connection, now, entry)
        self._tokens.forget_subject(BACKEND, backend_id)
        return known is not None

    async def remove(self, backend_id: str, entry: Entry | None = None, *, key: Enrolment | None = None) -> bool:
        """Forget a backend: its tokens and its runs go with it, and its leased addresses into quarantine. The use of a
        `key` is given back.

        Return whether there was one.
        """
        async with self._database.write() as connection:
            await release(connection, backend_id, self._clock())
            done = await connection.execute(delete(backends).where(backends.c.id == backend_id))
            await self._tokens.drop(connection, BACKEND, backend_id)
            if done.rowcount:
                await append(connection, self._clock(), entry)
            if done.rowcount and key is not None:
                await return_use(connection, key.id)
        self._tokens.forget_subject(BACKEND, backend_id)
        return done.rowcount > 0


async def _add_labels(connection: AsyncConnection, backend: Backend) -> None:
    rows = [{"backend_id": backend.id, "name": key, "value": value} for key, value in backend.labels.items()]
    if rows:
        await connection.execute(insert(labels), rows)


async def _must_be_free(connection: AsyncConnection, backend_id: str, name: str | None) -> None:
    taken = select(backends.c.id).where(backends.c.name == name, backends.c.id != backend_id).limit(1)
    if name is not None and await connection.scalar(taken) is not None:
        raise AlreadyExistsError(f"a backend named {name}")
