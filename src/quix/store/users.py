"""People and machines that may log in or enrol."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from quix.store.database import Database
from quix.store.errors import AlreadyExistsError, LastAdminError
from quix.store.tables import users
from quix.store.tokens import LOGIN, Tokens


class Role(StrEnum):
    """What a user may do; `quix.server.accounts` says what that is."""

    ADMIN = "admin"
    OPERATOR = "operator"
    VIEWER = "viewer"
    ENROLLER = "enroller"


class User(Struct, frozen=True):
    """`created_at` in epoch seconds. The hash of the password is no part of it, so it cannot leak with it."""

    name: str
    role: Role
    created_at: float


_USER = select(users.c.name, users.c.role, users.c.created_at)


class Users:
    """The users of the store, by name."""

    def __init__(self, database: Database, tokens: Tokens, clock: Callable[[], float]) -> None:
        self._database = database
        self._tokens = tokens
        self._clock = clock

    async def add(self, name: str, role: Role, password_hash: str) -> User:
        """Add a user.

        Raises:
            AlreadyExistsError: there is a user of that name.
        """
        user = User(name, role, self._clock())
        row = {"name": name, "role": role.value, "created_at": user.created_at, "password_hash": password_hash}
        try:
            async with self._database.write() as connection:
                await connection.execute(insert(users).values(row))
        except IntegrityError as error:
            raise AlreadyExistsError(f"a user named {name}") from error
        return user

    async def get(self, name: str) -> User | None:
        async with self._database.read() as connection:
            row = (await connection.execute(_USER.where(users.c.name == name))).one_or_none()
        return None if row is None else User(row.name, Role(row.role), row.created_at)

    async def password_hash(self, name: str) -> str | None:
        async with self._database.read() as connection:
            return await connection.scalar(select(users.c.password_hash).where(users.c.name == name))

    async def page(self, after: str | None, limit: int) -> list[User]:
        """Return up to `limit` users by name, those past the name `after`."""
        statement = _USER.where(users.c.name > (after or "")).order_by(users.c.name).limit(limit)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return [User(row.name, Role(row.role), row.created_at) for row in rows]

    async def remove(self, name: str) -> bool:
        """Remove a user and revoke the user's logins; return whether there was one.

        Raises:
            LastAdminError: no other admin is left.
        """
        async with self._database.write() as connection:
            await self._keep_an_admin(connection, name)
            done = await connection.execute(delete(users).where(users.c.name == name))
            await self._tokens.drop(connection, LOGIN, name)
        self._tokens.forget_subject(LOGIN, name)
        return done.rowcount > 0

    async def set_password(self, name: str, password_hash: str) -> bool:
        """Give a user another password and revoke the user's logins; return whether there is such a user."""
        async with self._database.write() as connection:
            statement = update(users).where(users.c.name == name).values(password_hash=password_hash)
            done = await connection.execute(statement)
            await self._tokens.drop(connection, LOGIN, name)
        self._tokens.forget_subject(LOGIN, name)
        return done.rowcount > 0

    async def rehash(self, name: str, old: str, new: str) -> None:
        """Store the same password's hash with other parameters, unless the password has changed meanwhile."""
        async with self._database.write() as connection:
            statement = update(users).where(users.c.name == name, users.c.password_hash == old)
            await connection.execute(statement.values(password_hash=new))

    async def set_role(self, name: str, role: Role) -> bool:
        """Give a user another role; return whether there is such a user.

        Raises:
            LastAdminError: the user is an admin, and no other is left.
        """
        async with self._database.write() as connection:
            if role is not Role.ADMIN:
                await self._keep_an_admin(connection, name)
            statement = update(users).where(users.c.name == name).values(role=role.value)
            return (await connection.execute(statement)).rowcount > 0

    @staticmethod
    async def _keep_an_admin(connection: AsyncConnection, name: str) -> None:
        # FOR UPDATE is for PostgreSQL, where two admins could remove each other at once; SQLite has one writer.
        statement = select(users.c.name).where(users.c.role == Role.ADMIN.value).with_for_update()
        if list((await connection.scalars(statement)).all()) == [name]:
            raise LastAdminError(name)
