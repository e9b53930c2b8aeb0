"""Users, their passwords and their logins."""

from __future__ import annotations

import asyncio
import math
import re
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from msgspec import Struct

from quix.exits import Exit, QuixError
from quix.server.throttle import Throttle
from quix.store import Store
from quix.store.tokens import LOGIN
from quix.store.users import Role, User
from quix.wire.peer import token_digest
from quix.wire.reasons import Reason, Refusal

__all__ = [
    "Accounts",
    "Login",
    "Role",
    "can_administer",
    "can_enroll",
    "can_operate",
    "can_read",
]

T = TypeVar("T")

MIN_PASSWORD: Final = 8
MAX_PASSWORD: Final = 1024

WORKERS: Final = 2
"""Passwords hashed at once, each for some 30 ms of one core and in 19 MiB: a crowd at the door leaves the rest of
the machine to the server."""

MAX_PENDING: Final = 256
"""Passwords that wait to be hashed: what two cores do in the 10 s that an agent waits, with room to spare."""

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Login(Struct, frozen=True):
    """`token` is to be shown with each request from now on, for `validity` seconds."""

    token: str
    validity: int
    user: User

    def __repr__(self) -> str:
        return f"Login(user={self.user!r}, validity={self.validity})"


# -- what a role may do: admin everything; the others as follows -----------------------------------


def can_read(role: Role) -> bool:
    """See backends, programs, telemetry. Everybody who has a login may."""
    return role in {Role.ADMIN, Role.OPERATOR, Role.VIEWER}


def can_operate(role: Role) -> bool:
    """Act on backends: start and signal programs, ask for telemetry, grant and revoke VPN leases."""
    return role in {Role.ADMIN, Role.OPERATOR}


def can_administer(role: Role) -> bool:
    """Change users, and remove backends."""
    return role is Role.ADMIN


def can_enroll(role: Role) -> bool:
    """Make a machine a backend with this user's password."""
    return role in {Role.ADMIN, Role.OPERATOR, Role.ENROLLER}


class Accounts:
    """Checks passwords, and hands out logins. `login_validity` in seconds; `clock` gives epoch seconds.

    Passwords are kept as argon2id with the second parameters of OWASP's password storage cheat sheet (19 MiB, two
    passes, one lane: as strong as more memory and fewer passes, and a whole fleet may have to enrol at once), and
    are hashed on threads of their own.
    """

    def __init__(
        self, store: Store, throttle: Throttle, login_validity: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._throttle = throttle
        self._login_validity = login_validity
        self._clock = clock
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._nobodys_hash = self._hasher.hash(secrets.token_bytes(16))
        self._executor = ThreadPoolExecutor(WORKERS, thread_name_prefix="quix-passwords")
        self._workers = asyncio.Semaphore(WORKERS)
        self._pending = 0

    def close(self) -> None:
        """End the threads; returns when the hash that one is at work on is done."""
        self._executor.shutdown(cancel_futures=True)

    # -- passwords ------------------------------------------------------------------------------

    async def check(self, username: str, password: str, source: str) -> User:
        """Return the user whose name and password these are. `source` is the address they came from.

        An unknown user and a wrong password are told apart neither by the answer nor by the work.

        Raises:
            Refusal: PASSWORD_INVALID, RATE_LIMITED, or UNAVAILABLE where too many passwords wait to be checked.
        """
        user, _ = await self._verified(username, password, source)
        return user

    async def _verified(self, username: str, password: str, source: str) -> tuple[User, str]:
        # What is no name is nobody's, and is not kept: it may be a megabyte.
        name = username if _NAME.fullmatch(username) else ""
        self._may_try(name, source)
        async with self._work():
            # Again, since while this one waited for its turn others may have failed: a burst is no way round.
            self._may_try(name, source)
            known = await self._store.users.password_hash(name)
            stored = known or self._nobodys_hash
            is_right = await self._in_thread(self._matches, stored, password) and known is not None
            user = await self._store.users.get(name) if is_right else None
            if user is None:
                self._throttle.failed(name, source)
                raise Refusal(Reason.PASSWORD_INVALID)
            self._throttle.succeeded(name, source)
            if self._hasher.check_needs_rehash(stored):
                await self._rehash(name, stored, password)
            return user, stored
