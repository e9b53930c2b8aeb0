"""Who did what to which backend, from where, with what outcome: rows that are only ever added.

Each row holds the SHA-256 of the row before it and of its own content, so that a row that was changed, taken out or
put in between shows (`verify`). What no chain in the same database can show is a whole chain made anew, or rows missing
at its end: for that, compare with a row that was exported before.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct, field
from sqlalchemy import Select, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quix.store.actions import Action
from quix.store.database import Database
from quix.store.sight import EVERYTHING, Sight, is_seen
from quix.store.tables import audit

LONGEST: Final = 256
"""Characters of a text that a row takes; what is longer is cut."""

_CHUNK: Final = 1000
_BEGINNING: Final = b"\x00" * 32
_LOCK: Final = int.from_bytes(b"quix-aud")

Detail = dict[str, str | int]


class Entry(Struct, frozen=True, kw_only=True):
    """What a row is made of. `user` is empty where a backend or the server itself did it, `backend_id` where it is
    about none. `outcome` is `success`, or the reason why not."""

    action: Action
    user: str = ""
    address: str = ""
    backend_id: str = ""
    target: str = ""
    outcome: str = "success"
    detail: Detail = field(default_factory=dict)


class AuditRow(Struct, frozen=True, kw_only=True):
    """One row of the audit. `id` counts up by one; `at` in epoch seconds; `hash` in hexadecimal digits."""

    id: int
    at: float
    user: str
    address: str
    action: str
    backend_id: str
    target: str
    outcome: str
    detail: Detail
    hash: str


class Wanted(Struct, frozen=True, kw_only=True):
    """Which rows: those for which everything holds that is not None. `since` and `until` in epoch seconds.
    A `sight` that is not whole leaves what is about backends that it sees."""

    user: str | None = None
    backend_id: str | None = None
    action: str | None = None
    outcome: str | None = None
    since: float | None = None
    until: float | None = None
    sight: Sight = EVERYTHING


class Verdict(Struct, frozen=True, kw_only=True):
    """`rows` that were checked, the last of them, and its hash; `broken` is empty, or says where the chain ends to
    hold and how."""

    rows: int
    last: int
    hash: str
    broken: str = ""


_encode = msgspec.json.Encoder().encode
_detail = msgspec.json.Decoder(Detail).decode
_CONTENT: Final = ("at", "user", "address", "action", "backend_id", "target", "outcome", "detail")


async def append(connection: AsyncConnection, now: float, entry: Entry | None) -> None:
    """Part of another noun's transaction: add a row about it. Without an entry, nothing is added."""
    if entry is not None:
        await append_all(connection, [(now, entry)])


async def append_all(connection: AsyncConnection, entries: Sequence[tuple[float, Entry]]) -> None:
    """Part of a transaction: add a row for each entry and the time it is of, in this order."""
    if connection.dialect.name == "postgresql":
        # Who adds takes the last row's hash along, so one adds at a time; on SQLite there is one writer anyway.
        await connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    newest = select(audit.c.id, audit.c.hash).order_by(audit.c.id.desc()).limit(1)
    last = (await connection.execute(newest)).one_or_none()
    number, digest = (0, _BEGINNING) if last is None else (last.id, last.hash)
    rows = []
    for at, entry in entries:
        number += 1
        row = {"id": number, **_content(at, entry)}
        digest = _hash(digest, row)
        rows.append({**row, "hash": digest})
    await connection.execute(insert(audit), rows)


def _content(at: float, entry: Entry) -> dict[str, Any]:
    detail = {name: _bounded(value) if isinstance(value, str) else value for name, value in entry.detail.items()}
    return {
        "at": at,
        "user": _bounded(entry.user),
        "address": _bounded(entry.address),
        "action": entry.action.value,
        "backend_id": _bounded(entry.backend_id),
        "target": _bounded(entry.target),
        "outcome": _bounded(entry.outcome),
        "detail": _encode(detail).decode(),
    }


def _bounded(text: str) -> str:
    """Return what of a text a database can keep, whoever sent it."""
    return text[:LONGEST].encode(errors="replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _hash(before: bytes, row: Any) -> bytes:
    """The hash of a row: of the 32 bytes before it, and a JSON array of its id and content."""
    return hashlib.sha256(before + _encode([row["id"], *(row[name] for name in _CONTENT)])).digest()


class Audit:
    """The rows of the audit, by id."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def add(self, entries: Sequence[tuple[float, Entry]]) -> None:
        """Add rows that are part of nothing else, each with the time it is of; one transaction for all."""
        if entries:
            async with self._database.write() as connection:
                await append_all(connection, entries)

    async def newest(self, wanted: Wanted, before: int | None, limit: int) -> list[AuditRow]:
        """Return up to `limit` rows, the newest first, of those before the id `before`."""
        statement = _where(select(audit), wanted).order_by(audit.c.id.desc()).limit(limit)
        return await self._select(statement if before is None else statement.where(audit.c.id < before))

    async def scan(self, wanted: Wanted) -> AsyncIterator[AuditRow]:
        """Yield the rows from the oldest on, up to what is the last when it is reached."""
        after = 0
        while rows := await self._select(
            _where(select(audit), wanted).where(audit.c.id > after).order_by(audit.c.id).limit(_CHUNK)
        ):
            for row in rows:
                yield row
            after = rows[-1].id

    async def _select(self, statement: Select[Any]) -> list[AuditRow]:
        async with self._database.read() as connection:
            found = (await connection.execute(statement)).mappings().all()
        return [AuditRow(**{**row, "detail": _detail(row["detail"]), "hash": row["hash"].hex()}) for row in found]

    async def trim(self, before: float) -> int:
        """Delete the oldest rows, those up to the first that is not from `before`; return how many.

        A row says so, and holds the hash of the last that was deleted: what is left begins there.
        """
        async with self._database.write() as connection:
            kept = await connection.scalar(select(func.min(audit.c.id)).where(audit.c.at >= before))
            old = select(audit.c.id, audit.c.hash).order_by(audit.c.id.desc()).limit(1)
            last = (await connection.execute(old if kept is None else old.where(audit.c.id < kept))).one_or_none()
            if last is None:
                return 0
            detail: Detail = {"through": last.id, "hash": last.hash.hex()}
            await append(connection, self._clock(), Entry(action=Action.AUDIT_TRIMMED, detail=detail))
            return (await connection.execute(delete(audit).where(audit.c.id <= last.id))).rowcount

    async def verify(self) -> Verdict:
        """Check every row against the one before it."""
        count, number, digest = 0, *await self._beginning()
        while True:
            statement = select(audit).where(audit.c.id > number).order_by(audit.c.id).limit(_CHUNK)
            async with self._database.read() as connection:
                rows = (await connection.execute(statement)).mappings().all()
            if rows and rows[0]["id"] != number + 1 and (trimmed := await self._beginning())[0] > number:
                number, digest = trimmed  # while the rows before were looked at, the oldest were deleted
                continue
            for row in rows:
                if broken := _broken(number, digest, row):
                    return Verdict(rows=count, last=number, hash=digest.hex(), broken=broken)
                count, number, digest = count + 1, row["id"], row["hash"]
            if not rows:
                return Verdict(rows=count, last=number, hash=digest.hex())

    async def _beginning(self) -> tuple[int, bytes]:
        """Return id and hash that the first row follows on: none, or those of the last that was trimmed."""
        statement = select(audit.c.detail).where(audit.c.action == Action.AUDIT_TRIMMED.value)
        async with self._database.read() as connection:
            text = await connection.scalar(statement.order_by(audit.c.id.desc()).limit(1))
        if text is None:
            return 0, _BEGINNING
        try:
            detail = _detail(text)
            return int(detail["through"]), bytes.fromhex(str(detail["hash"]))
        except (KeyError, ValueError):  # that row itself was tampered with: the first of all will not follow on this
            return 0, _BEGINNING


def _where(statement: Select[Any], wanted: Wanted) -> Select[Any]:
    for name in ("user", "backend_id", "action", "outcome"):
        if (value := getattr(wanted, name)) is not None:
            statement = statement.where(audit.c[name] == value)
    if not wanted.sight.is_whole:
        statement = statement.where(is_seen(audit.c.backend_id, wanted.sight))
    if wanted.since is not None:
        statement = statement.where(audit.c.at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(audit.c.at < wanted.until)
    return statement


def _broken(number: int, digest: bytes, row: Any) -> str:
    """Say what is wrong with a row that follows on the row `number`, whose hash is `digest`; nothing is ''."""
    if row["id"] != number + 1:
        return f"row {row['id']} follows on row {number}: what was between them is gone"
    if _hash(digest, row) != row["hash"]:
        return f"row {row['id']} is not what it was when it was written, or row {number} is not"
    return ""
