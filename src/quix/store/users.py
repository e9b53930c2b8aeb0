"""People and machines that may log in or enrol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from quix.store.audit import Entry, append
from quix.store.database import Database
from quix.store.errors import AlreadyExistsError, LastAdminError
from quix.store.tables import users
from quix.store.tokens import LOGIN, PERSONAL, Tokens


class Role(StrEnum):
    """What a user may do; `quix.server.accounts` says what that is."""

    ADMIN = "admin"
    OPERATOR = "operator"
    VIEWER = "viewer"
    ENROLLER = "enroller"


class User(Struct, frozen=True):
    """`labels` are those that a backend must have for the user to know of it: none, and the user sees all. `created_at`
    in epoch seconds. The hash of the password is no part of it, so it cannot leak with it."""

    name: str
    role: Role
    created_at: float
    labels: dict[str, str] = {}


_USER = select(users.c.name, users.c.role, users.c.created_at, users.c.labels)
_labels = msgspec.json.Decoder(dict[str, str]).decode


def _user(row: Any) -> User:
    return User(row.name, Role(row.role), row.created_at, _labels(row.labels))


def _encoded(labels: Mapping[str, str]) -> str:
    return msgspec.json.encode(dict(labels)).decode()


class Users:
    """The users of the store, by name."""

    def __init__(self, database: Database, tokens: Tokens, clock: Callable[[], float]) -> None:
        self._database = database
        self._tokens = tokens
        self._clock = clock

    async def add(
        self,
        name: str,
        role: Role,
        password_hash: str,
        entry: Entry | None = None,
        labels: Mapping[str, str] = MappingProxyType({}),
    ) -> User:
        """Add a user, and with it a row of the audit.

        Raises:
            AlreadyExistsError: there is a user of that name.
        """
        user = User(name, role, self._clock(), dict(labels))
        row = {**msgspec.structs.asdict(user), "labels": _encoded(labels), "password_hash": password_hash}
        try:
            async with self._database.write() as connection:
                await connection.execute(insert(users).values(row))
                await append(connection, user.created_at, entry)
        except IntegrityError as error:
            raise AlreadyExistsError(f"a user named {name}") from error
        return user

    async def get(self, name: str) -> User | None:
        async with self._database.read() as connection:
            row = (await connection.execute(_USER.where(users.c.name == name))).one_or_none()
        return None if row is None else _user(row)

    async def password_hash(self, name: str) -> str | None:
        async with self._database.read() as connection:
            return await connection.scalar(select(users.c.password_hash).where(users.c.name == name))

    async def page(self, after: str | None, limit: int) -> list[User]:
        """Return up to `limit` users by name, those past the name `after`."""
        statement = _USER.where(users.c.name > (after or "")).order_by(users.c.name).limit(limit)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return [_user(row) for row in rows]

    async def remove(self, name: str, entry: Entry | None = None) -> bool:
        """Remove a user and revoke the user's logins and tokens; return whether there was one.

        Raises:
            LastAdminError: no other admin is left.
        """
        async with self._database.write() as connection:
            await self._keep_an_admin(connection, name)
            done = await connection.execute(delete(users).where(users.c.name == name))
            await self._drop(connection, name)
            await self._note(connection, done.rowcount, entry)
        self._forget(name)
        return done.rowcount > 0

    async def set_password(self, name: str, password_hash: str, entry: Entry | None = None) -> bool:
        """Give a user another password and revoke the user's logins and tokens; return whether there is such a user."""
        async with self._database.write() as connection:
            statement = update(users).where(users.c.name == name).values(password_hash=password_hash)
            done = await connection.execute(statement)
            await self._drop(connection, name)
            await self._note(connection, done.rowcount, entry)
        self._forget(name)
        return done.rowcount > 0

    async def change_password(self, name: str, old_hash: str, new_hash: str, login: bytes, entry: Entry) -> bool:
        """Give a user another password, and revoke the user's logins but for the one of this digest.

        Return whether `old_hash` was still the one in force.
        """
        is_known = (users.c.name == name, users.c.password_hash == old_hash)
        async with self._database.write() as connection:
            done = await connection.execute(update(users).where(*is_known).values(password_hash=new_hash))
            if done.rowcount:
                await self._tokens.drop(connection, LOGIN, name, but=login)
            await self._note(connection, done.rowcount, entry)
        self._tokens.forget_subject(LOGIN, name)
        return done.rowcount > 0

    async def _drop(self, connection: AsyncConnection, name: str) -> None:
        await self._tokens.drop(connection, LOGIN, name)
        await self._tokens.drop(connection, PERSONAL, name)

    def _forget(self, name: str) -> None:
        self._tokens.forget_subject(LOGIN, name)
        self._tokens.forget_subject(PERSONAL, name)

    async def rehash(self, name: str, old: str, new: str) -> None:
        """Store the same password's hash with other parameters, unless the password has changed meanwhile."""
        async with self._database.write() as connection:
            statement = update(users).where(users.c.name == name, users.c.password_hash == old)
            await connection.execute(statement.values(password_hash=new))

    async def set_role(self, name: str, role: Role, entry: Entry | None = None) -> bool:
        """Give a user another role; return whether there is such a user.

        Raises:
            LastAdminError: the user is an admin, and no other is left.
        """
        return await self._change(name, role is Role.ADMIN, entry, role=role.value)

    async def set_labels(self, name: str, labels: Mapping[str, str], entry: Entry | None = None) -> bool:
        """Narrow what a user sees to backends with these labels; return whether there is such a user.

        Raises:
            LastAdminError: the user is an admin who sees all, and no other is left.
        """
        return await self._change(name, not labels, entry, labels=_encoded(labels))

    async def _change(self, name: str, leaves_admin: bool, entry: Entry | None, **values: str) -> bool:
        async with self._database.write() as connection:
            if not leaves_admin:
                await self._keep_an_admin(connection, name)
            done = await connection.execute(update(users).where(users.c.name == name).values(values))
            await self._note(connection, done.rowcount, entry)
        return done.rowcount > 0

    async def _note(self, connection: AsyncConnection, changed: int, entry: Entry | None) -> None:
        if changed:
            await append(connection, self._clock(), entry)

    @staticmethod
    async def _keep_an_admin(connection: AsyncConnection, name: str) -> None:
        # FOR UPDATE is for PostgreSQL, where two admins could remove each other at once; SQLite has one writer.
        is_whole_admin = (users.c.role == Role.ADMIN.value, users.c.labels == _encoded({}))
        statement = select(users.c.name).where(*is_whole_admin).with_for_update()
        if list((await connection.scalars(statement)).all()) == [name]:
            raise LastAdminError(name)
