"""What a backend or a logged-in user shows instead of a password.

A token is 256 random bits. Only its SHA-256 is stored (`token_digest`), so the database gives nobody access.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from typing import Any, Final, Literal

from msgspec import Struct
from sqlalchemy import and_, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quix.store.database import Database
from quix.store.errors import StoreUnavailableError
from quix.store.lookups import CHUNK, Lookups
from quix.store.tables import tokens
from quix.wire.peer import token_digest
from quix.wire.reasons import Reason, Refusal

BACKEND: Final = "backend"
LOGIN: Final = "login"
PERSONAL: Final = "personal"
Kind = Literal["backend", "login", "personal"]
"""Whom a token stands for: a backend (`subject` is its id), a user who logged in (`subject` is the name), or what a
user made it for."""


class Token(Struct, frozen=True):
    """A token that has not expired. `pending`: made by a renewal, and not used yet. Times in epoch seconds.

    `id` is that of a login or a personal token; `role` and `sight` (JSON) are what a personal one is for.
    """

    digest: bytes
    kind: Kind
    subject: str
    expires_at: float
    pending: bool = False
    id: str | None = None
    role: str | None = None
    sight: str | None = None

    @property
    def owner(self) -> tuple[Kind, str]:
        return (self.kind, self.subject)

    def __repr__(self) -> str:
        return f"Token({self.kind} of {self.subject!r}, expires_at={self.expires_at})"


_TOKEN = select(*(tokens.c[name] for name in Token.__struct_fields__))


class Tokens:
    """The tokens of the store. A revoked or an expired one is never returned; `lookups.CACHE_LIFE` says when
    that becomes true for what another process revoked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lookups: Lookups[Token] = Lookups(self._fetch)
        self._used: set[bytes] = set()
        self._retiring: asyncio.Task[None] | None = None

    async def issue(self, kind: Kind, subject: str, validity_s: float, now: float) -> str:
        """Make a token that is valid for `validity_s` seconds from `now`; only the caller ever sees it."""
        async with self._database.write() as connection:
            return await self.add(connection, kind, subject, validity_s, now)

    async def add(self, connection: AsyncConnection, kind: Kind, subject: str, validity_s: float, now: float) -> str:
        """Part of another noun's transaction: make a token as `issue` does."""
        token, digest = new_token()
        row = _row(digest, kind, subject, now + validity_s, lineage=digest, pending=False)
        await connection.execute(insert(tokens).values(row))
        return token

    async def lookup(self, token: str, kind: Kind, now: float, or_kind: Kind | None = None) -> Token | None:
        """Return what a token stands for, or None where it is unknown, expired, revoked or of another kind."""
        found = await self._lookups.find(token_digest(token), now)
        return found if found is not None and found.kind in (kind, or_kind) and found.expires_at > now else None

    async def _fetch(self, digests: list[bytes]) -> list[Token]:
        async with self._database.read() as connection:
            rows = (await connection.execute(_TOKEN.where(tokens.c.digest.in_(digests)))).all()
        return [Token(*row) for row in rows]

    async def renew(self, old_digest: bytes, validity_s: float, now: float) -> str:
        """Make the next token for the same subject (extension `token`).

        The old one stays valid until the new one is used, or to its own end: an answer that is lost on its way
        costs nobody the access. So a subject never has more than two; renewing again replaces the unused one.

        Raises:
            Refusal: TOKEN_INVALID, the old token is unknown, expired or revoked.
        """
        token, digest = new_token()
        statement = select(tokens).where(tokens.c.digest == old_digest, tokens.c.expires_at > now)
        async with self._database.write() as connection:
            old = (await connection.execute(statement.with_for_update())).one_or_none()
            if old is None:
                raise Refusal(Reason.TOKEN_INVALID)
            unused = and_(tokens.c.lineage == old.lineage, tokens.c.pending, tokens.c.digest != old_digest)
            gone = await _delete(connection, unused)
            row = _row(digest, old.kind, old.subject, now + validity_s, lineage=old.lineage, pending=True)
            await connection.execute(insert(tokens).values(row))
        self.forget(gone)
        return token

    def used(self, digest: bytes) -> None:
        """A connection was opened with this token: if it is a renewal, the token before it dies, within moments.

        Returns at once, since whoever connects need not wait for it. Where the database does not answer, nothing
        is retired; the next connection with this token comes here again.
        """
        cached = self._lookups.cached(digest)
        if cached is None or cached.pending:
            self._used.add(digest)
            if self._retiring is None:
                self._retiring = asyncio.create_task(self._retire())

    async def _retire(self) -> None:
        try:
            while self._used:
                chunk, rest = list(self._used)[:CHUNK], list(self._used)[CHUNK:]
                self._used = set(rest)
                await self._settle(chunk)
        except StoreUnavailableError:
            self._used.clear()
        finally:
            self._retiring = None

    async def _settle(self, digests: list[bytes]) -> None:
        are_these = and_(tokens.c.digest.in_(digests), tokens.c.pending)
        settle = update(tokens).where(are_these).values(pending=False).returning(tokens.c.digest, tokens.c.lineage)
        async with self._database.write() as connection:
            settled = (await connection.execute(settle)).all()
            if not settled:
                return
            lineages = [row.lineage for row in settled]
            older = and_(tokens.c.lineage.in_(lineages), tokens.c.digest.not_in([row.digest for row in settled]))
            gone = await _delete(connection, older)
        self.forget([*gone, *(row.digest for row in settled)])

    async def revoke(self, digest: bytes) -> bool:
        """End one token; return whether there was one."""
        async with self._database.write() as connection:
            gone = await _delete(connection, tokens.c.digest == digest)
        self.forget([digest])
        return bool(gone)

    async def purge(self, now: float) -> int:
        """Delete the expired tokens, which nothing returns any more; return how many there were."""
        async with self._database.write() as connection:
            return (await connection.execute(delete(tokens).where(tokens.c.expires_at <= now))).rowcount

    async def drop(self, connection: AsyncConnection, kind: Kind, subject: str, but: bytes = b"") -> None:
        """Part of another noun's transaction: delete a subject's tokens, but for one of a digest. `forget_subject` once
        it is committed."""
        of_subject = (tokens.c.kind == kind, tokens.c.subject == subject, tokens.c.digest != but)
        await connection.execute(delete(tokens).where(*of_subject))

    def forget_subject(self, kind: Kind, subject: str) -> None:
        """The tokens of a subject have been deleted; keep none of them in memory."""
        self._lookups.forget_owner((kind, subject))

    async def close(self) -> None:
        """Return when every look-up has been answered and what was used has been settled."""
        await self._lookups.close()
        if self._retiring is not None:
            await self._retiring

    def forget(self, digests: Iterable[bytes]) -> None:
        """These tokens have been deleted or changed; keep none of them in memory."""
        for digest in digests:
            self._lookups.forget_digest(digest)


def new_token() -> tuple[str, bytes]:
    """Return a token and its digest."""
    token = secrets.token_urlsafe(32)
    return token, token_digest(token)


def _row(
    digest: bytes, kind: Kind, subject: str, expires_at: float, *, lineage: bytes, pending: bool
) -> dict[str, Any]:
    return {
        "digest": digest, "kind": kind, "subject": subject,
        "expires_at": expires_at, "lineage": lineage, "pending": pending,
    }  # fmt: skip


async def _delete(connection: AsyncConnection, which: Any) -> list[bytes]:
    return list(await connection.scalars(delete(tokens).where(which).returning(tokens.c.digest)))
