"""Logins and personal tokens of users: tokens that have a name of their own, so that they can be listed and ended.

What is listed holds no secret: the token itself is shown to its user once, and the store has its SHA-256 alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import bindparam, delete, insert, select, update

from quix.store.audit import Entry, append
from quix.store.database import Database
from quix.store.errors import AlreadyExistsError
from quix.store.ids import new_id
from quix.store.sight import EVERYTHING, Sight
from quix.store.tables import tokens
from quix.store.tokens import Kind, Tokens, new_token
from quix.store.users import Role

USE_GRAIN: Final = 60.0
"""Seconds in which a token that is used again and again is written down once."""

_REMEMBERED: Final = 10_000


class Credential(Struct, frozen=True, kw_only=True):
    """A login (kind `login`) or a personal token (`personal`) of a user.

    `role` and `sight` are what it is for, at most; a login has no `role` of its own. `address` and `user_agent` are
    those that a login was made from. Times in epoch seconds; `used_at` None where it never was.
    """

    id: str
    kind: Kind
    user: str
    name: str = ""
    role: Role | None = None
    sight: Sight = EVERYTHING
    address: str = ""
    user_agent: str = ""
    created_at: float
    expires_at: float
    used_at: float | None = None


_COLUMNS: Final = (
    tokens.c.id, tokens.c.kind, tokens.c.subject.label("user"), tokens.c.name, tokens.c.role, tokens.c.sight,
    tokens.c.address, tokens.c.user_agent, tokens.c.created_at, tokens.c.expires_at, tokens.c.used_at,
)  # fmt: skip
_sight = msgspec.json.Decoder(Sight).decode
_encode = msgspec.json.Encoder().encode


class Credentials:
    """The logins and personal tokens of the store, by id."""

    def __init__(self, database: Database, tokens_: Tokens, clock: Callable[[], float]) -> None:
        self._database = database
        self._tokens = tokens_
        self._clock = clock
        self._noted: dict[bytes, float] = {}
        self._used: dict[bytes, float] = {}

    def new(self, kind: Kind, user: str, validity_s: float, now: float, **about: Any) -> Credential:
        """Return a credential that `issue` makes valid; `about` are its other fields."""
        return Credential(id=new_id(now), kind=kind, user=user, created_at=now, expires_at=now + validity_s, **about)

    async def issue(self, credential: Credential, entry: Entry | None = None) -> str:
        """Make the token of a credential, and with it a row of the audit; only the caller ever sees it.

        Raises:
            AlreadyExistsError: its user has a personal token of that name.
        """
        token, digest = new_token()
        fields = msgspec.structs.asdict(credential)
        row = {
            "subject": fields.pop("user"),
            **fields,
            "sight": _encode(credential.sight).decode(),
            "digest": digest,
            "lineage": digest,
            "pending": False,
        }
        async with self._database.write() as connection:
            if credential.name:
                namesake = select(tokens.c.id).where(*_of(credential.kind, credential.user), *self._lives())
                if await connection.scalar(namesake.where(tokens.c.name == credential.name)) is not None:
                    raise AlreadyExistsError(f"a token named {credential.name}")
            await connection.execute(insert(tokens).values(row))
            await append(connection, credential.created_at, entry)
        return token

    async def page(self, kind: Kind, user: str | None, after: str | None, limit: int) -> list[Credential]:
        """Return up to `limit` of a kind that are valid, of one user or of all, oldest first, past the id `after`."""
        statement = select(*_COLUMNS).where(*_of(kind, user), *self._lives(), tokens.c.id > (after or ""))
        async with self._database.read() as connection:
            rows = (await connection.execute(statement.order_by(tokens.c.id).limit(limit))).mappings().all()
        return [_credential(row) for row in rows]

    async def get(self, kind: Kind, credential_id: str) -> Credential | None:
        statement = select(*_COLUMNS).where(*_of(kind, None), *self._lives(), tokens.c.id == credential_id)
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).mappings().one_or_none()
        return None if row is None else _credential(row)

    async def end(self, credential: Credential, entry: Entry | None = None) -> bool:
        """End one; return whether there was one still."""
        statement = delete(tokens).where(tokens.c.id == credential.id).returning(tokens.c.digest)
        async with self._database.write() as connection:
            digest = await connection.scalar(statement)
            if digest is not None:
                await append(connection, self._clock(), entry)
        if digest is not None:
            self._tokens.forget([digest])
        return digest is not None

    def _lives(self) -> tuple[Any, ...]:
        return tokens.c.id.is_not(None), tokens.c.expires_at > self._clock()

    # -- when they were used --------------------------------------------------------------------

    def used(self, digest: bytes, now: float) -> None:
        """A request came with this token; `flush` writes it down."""
        if not 0 <= now - self._noted.get(digest, -USE_GRAIN) < USE_GRAIN:
            if len(self._noted) >= _REMEMBERED:
                self._noted.clear()
            self._noted[digest] = self._used[digest] = now

    async def flush(self) -> None:
        """Write down when tokens were used; what the store cannot take now is kept for the next time.

        Raises:
            StoreUnavailableError: the store does not answer.
        """
        used = dict(self._used)
        if not used:
            return
        statement = update(tokens).where(tokens.c.digest == bindparam("used_digest"))
        rows = [{"used_digest": digest, "at": at} for digest, at in used.items()]
        async with self._database.write() as connection:
            await connection.execute(statement.values(used_at=bindparam("at")), rows)
        self._used = {digest: at for digest, at in self._used.items() if used.get(digest) != at}


def _of(kind: Kind, user: str | None) -> tuple[Any, ...]:
    return (tokens.c.kind == kind,) if user is None else (tokens.c.kind == kind, tokens.c.subject == user)


def _credential(row: Any) -> Credential:
    role = None if row["role"] is None else Role(row["role"])
    return Credential(**{**row, "role": role, "sight": _sight(row["sight"])})
