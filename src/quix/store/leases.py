"""VPN addresses that backends hold.

- A backend keeps its addresses for as long as it exists and the pool has them. Revoking a lease keeps them too:
  the backend gets no configuration, and is given the same addresses when the lease is restored.
- No address is leased twice, to two backends or for two kinds of VPN. The database's constraints say so.
- The addresses of a removed backend rest for `QUARANTINE` before another gets them, and longer where there are
  fresh ones, so that a peer which has not heard of the change does not talk to a stranger.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import and_, delete, exists, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from quix.store.database import Database
from quix.store.errors import AddressesExhaustedError, AlreadyExistsError, NotFoundError, StoreUnavailableError
from quix.store.sight import EVERYTHING, Sight, is_seen
from quix.store.tables import backends, leases
from quix.vpn.pool import Pool

QUARANTINE: Final = 24 * 3600.0
"""Seconds for which a removed backend's addresses are given to nobody."""

_ATTEMPTS: Final = 50
"""How often another server may be quicker than this one before a claim gives up."""


class Lease(Struct, frozen=True):
    """Two addresses of a backend, without prefix length. `public_key` and `preshared_key` (sealed) are those of the
    last configuration that was handed out, None where none was. Times in epoch seconds."""

    backend_id: str
    conf_type: str
    address4: str
    address6: str
    public_key: str | None
    issued_at: float
    revoked_at: float | None
    preshared_key: bytes | None = None

    @property
    def place(self) -> str:
        """Where it stands among all leases."""
        return f"{self.backend_id} {self.conf_type}"


class Leases:
    """The leases of the store, one a backend and kind of VPN."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def claim(self, backend_id: str, conf_type: str, pool: Pool) -> Lease:
        """Return the lease of a backend, made now where there is none or the pool no longer has its addresses.

        A revoked lease is returned as it is, with its `revoked_at`.

        Raises:
            AddressesExhaustedError: the pool has no address to give.
            NotFoundError: the backend has been removed.
        """
        lease = await self.get(backend_id, conf_type)
        if lease is not None and _fits(lease, pool):
            return lease
        for _ in range(_ATTEMPTS):
            try:
                async with self._database.write() as connection:
                    return await self._claim(connection, backend_id, conf_type, pool)
            except IntegrityError:
                continue  # Another server took the address since we looked, or the backend was removed: look again.
        raise StoreUnavailableError

    async def _claim(self, connection: AsyncConnection, backend_id: str, conf_type: str, pool: Pool) -> Lease:
        if await connection.scalar(select(backends.c.id).where(backends.c.id == backend_id)) is None:
            raise NotFoundError(f"backend {backend_id}")
        now = self._clock()
        is_its_own = and_(leases.c.backend_id == backend_id, leases.c.conf_type == conf_type)
        old = (await connection.execute(select(leases).where(is_its_own))).one_or_none()
        if old is not None:
            if _fits(_lease(old), pool):
                return _lease(old)
            await _release(connection, is_its_own, now)
        await connection.execute(delete(leases).where(leases.c.released_at <= now - QUARANTINE))
        row = {
            "backend_id": backend_id,
            "conf_type": conf_type,
            **await _free_pair(connection, pool),
            "issued_at": now,
            "revoked_at": None if old is None else old.revoked_at,
        }
        return _lease((await connection.execute(insert(leases).values(row).returning(leases))).one())

    async def get(self, backend_id: str, conf_type: str) -> Lease | None:
        statement = select(leases).where(leases.c.backend_id == backend_id, leases.c.conf_type == conf_type)
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else _lease(row)

    async def set_keys(
        self, backend_id: str, conf_type: str, public_key: str, preshared_key: bytes | None = None
    ) -> bool:
        """Keep the keys of the configuration that is about to be handed out.

        Return False where the lease has been revoked or is gone: then it must not be handed out.

        Raises:
            AlreadyExistsError: the public key is another backend's.
        """
        changes = {"public_key": public_key, "preshared_key": preshared_key}
        try:
            return await self._update(backend_id, conf_type, leases.c.revoked_at.is_(None), **changes)
        except IntegrityError:
            raise AlreadyExistsError("a backend with this public key") from None

    async def revoke(self, backend_id: str, conf_type: str) -> bool:
        """Withdraw a lease and its keys; return whether there was one in force."""
        changes = {"revoked_at": self._clock(), "public_key": None, "preshared_key": None}
        return await self._update(backend_id, conf_type, leases.c.revoked_at.is_(None), **changes)

    async def restore(self, backend_id: str, conf_type: str) -> bool:
        """Put a revoked lease in force again; return whether there was one."""
        return await self._update(backend_id, conf_type, leases.c.revoked_at.is_not(None), revoked_at=None)

    async def _update(self, backend_id: str, conf_type: str, condition: Any, **values: Any) -> bool:
        statement = update(leases).where(leases.c.backend_id == backend_id, leases.c.conf_type == conf_type, condition)
        async with self._database.write() as connection:
            return (await connection.execute(statement.values(values))).rowcount > 0

    async def page(self, after: str | None, limit: int, sight: Sight = EVERYTHING) -> list[Lease]:
        """Return up to `limit` leases by backend id and kind, revoked ones too, those past the `place` `after`, of
        backends that are seen."""
        backend_id, _, conf_type = (after or "").partition(" ")
        is_later = or_(
            leases.c.backend_id > backend_id,
            and_(leases.c.backend_id == backend_id, leases.c.conf_type > conf_type),
        )
        statement = (
            select(leases)
            .where(is_later, is_seen(leases.c.backend_id, sight))
            .order_by(leases.c.backend_id, leases.c.conf_type)
            .limit(limit)
        )
        return await self._select(statement)

    async def with_keys(self, conf_type: str) -> list[Lease]:
        """Return all leases that a configuration was handed out for and that are in force."""
        return await self._select(
            select(leases).where(leases.c.conf_type == conf_type, leases.c.public_key.is_not(None))
        )

    async def _select(self, statement: Any) -> list[Lease]:
        async with self._database.read() as connection:
            return [_lease(row) for row in (await connection.execute(statement)).all()]


async def withdraw(connection: AsyncConnection, backend_id: str, now: float) -> None:
    """Part of another noun's transaction: withdraw what leases of a backend are in force; it keeps the addresses."""
    in_force = update(leases).where(leases.c.backend_id == backend_id, leases.c.revoked_at.is_(None))
    await connection.execute(in_force.values(revoked_at=now, public_key=None, preshared_key=None))


async def release(connection: AsyncConnection, backend_id: str, now: float) -> None:
    """Part of another noun's transaction: take a backend's addresses back, into quarantine."""
    await _release(connection, leases.c.backend_id == backend_id, now)


async def _release(connection: AsyncConnection, which: Any, now: float) -> None:
    values = {"backend_id": None, "public_key": None, "preshared_key": None, "released_at": now}
    await connection.execute(update(leases).where(which).values(values))


async def _free_pair(connection: AsyncConnection, pool: Pool) -> dict[str, Any]:
    """Return the addresses of a pair of which neither is taken."""
    first, last = (int(pool.pair(n)[0]) for n in (1, pool.capacity))
    top = await connection.scalar(select(func.max(leases.c.address4)).where(leases.c.address4.between(first, last)))
    # Addresses that nobody ever had come first, so that the others rest for as long as possible.
    start = first if top is None or top == last else top + 1
    for low, high in ((start, last), (first, start - 1)):
        async for number in _gaps(connection, low, high):
            address6 = str(pool.pair(number - first + 1)[1])
            # Taken where another pool once shared its IPv6 network with this one.
            if not await connection.scalar(select(exists().where(leases.c.address6 == address6))):
                return {"address4": number, "address6": address6}
    raise AddressesExhaustedError


async def _gaps(connection: AsyncConnection, low: int, high: int) -> AsyncIterator[int]:
    """Yield the IPv4 addresses from `low` to `high`, as numbers, that are not taken."""
    following = leases.alias()
    while low <= high:
        if not await connection.scalar(select(exists().where(leases.c.address4 == low))):
            yield low
            low += 1
            continue
        end_of_block = (
            select(leases.c.address4)
            .where(leases.c.address4 >= low, ~exists().where(following.c.address4 == leases.c.address4 + 1))
            .order_by(leases.c.address4)
            .limit(1)
        )
        low = (await connection.execute(end_of_block)).scalar_one() + 1


def _fits(lease: Lease, pool: Pool) -> bool:
    return pool.holds(IPv4Address(lease.address4), IPv6Address(lease.address6))


def _lease(row: Any) -> Lease:
    return Lease(
        row.backend_id,
        row.conf_type,
        str(IPv4Address(row.address4)),
        row.address6,
        row.public_key,
        row.issued_at,
        row.revoked_at,
        row.preshared_key,
    )
