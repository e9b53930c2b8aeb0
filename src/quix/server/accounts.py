"""Users, their passwords and their logins."""

from __future__ import annotations

import asyncio
import math
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from msgspec import Struct

from quix.exits import Exit, QuixError
from quix.server.audit import Act
from quix.server.caller import Caller
from quix.server.throttle import Throttle
from quix.store import Store
from quix.store.actions import Action
from quix.store.audit import Entry
from quix.store.credentials import Credential
from quix.store.sight import EVERYTHING, Sight
from quix.store.tokens import LOGIN, PERSONAL
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
"""Passwords that may wait to be hashed; two cores do as many in some 4 s, and an agent waits 10 s."""

# "." and ".." would be steps in a path, and a name is part of one: /users/{name}.
_LONGEST_AGENT: Final = 200

_NAME: Final = re.compile(r"(?!\.\.?$)[A-Za-z0-9._-]{1,64}")


class Login(Struct, frozen=True):
    """`token` is to be shown with each request from now on, for `validity` seconds."""

    token: str
    validity: int
    user: User

    def __repr__(self) -> str:
        return f"Login(user={self.user!r}, validity={self.validity})"


# -- what a role may do: admin everything; the others as follows -----------------------------------


def can_read(role: Role) -> bool:
    """See what is known of backends, programs and leases. Nobody logs in who may not."""
    return role in {Role.ADMIN, Role.OPERATOR, Role.VIEWER}


def can_operate(role: Role) -> bool:
    """Act on backends: start and signal programs, give them input, revoke and restore VPN leases."""
    return role in {Role.ADMIN, Role.OPERATOR}


def can_administer(role: Role) -> bool:
    """Change users, and remove backends."""
    return role is Role.ADMIN


def can_enroll(role: Role) -> bool:
    """Make a machine a backend with this user's password."""
    return role in {Role.ADMIN, Role.OPERATOR, Role.ENROLLER}


_MORE: Final = (Role.ENROLLER, Role.VIEWER, Role.OPERATOR, Role.ADMIN)
"""Each may what those before it may, but for enrolling, which is no matter of tokens."""


def lower_role(one: Role, other: Role) -> Role:
    """Return the role of two that may do less."""
    return min(one, other, key=_MORE.index)


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
        async with self._turn():
            # Again: while this one waited for its turn others may have failed, and a burst is no way round.
            self._may_try(name, source)
            known = await self._store.users.password_hash(name)
            stored = self._nobodys_hash if known is None else known
            is_right = await self._in_thread(self._matches, stored, password) and known is not None
            user = await self._store.users.get(name) if is_right else None
            if user is None:
                self._throttle.failed(name, source)
                raise Refusal(Reason.PASSWORD_INVALID)
            self._throttle.succeeded(name, source)
            return user, await self._rehash(name, stored, password)

    def _may_try(self, name: str, source: str) -> None:
        if wait := self._throttle.wait(name, source):
            raise Refusal(Reason.RATE_LIMITED, f"too many failed attempts; wait {math.ceil(wait)} s")

    async def _rehash(self, name: str, stored: str, password: str) -> str:
        """Bring a hash of an earlier release to today's parameters; return the one that is in force."""
        if not self._hasher.check_needs_rehash(stored):
            return stored
        fresh = await self._in_thread(self._hash, password)
        await self._store.users.rehash(name, stored, fresh)
        return fresh

    def _matches(self, stored: str, password: str) -> bool:
        # One character more than any password has: the rest of a longer one can change nothing, and costs nothing.
        given = password[: MAX_PASSWORD + 1]
        try:
            return self._hasher.verify(stored, _bytes(given))
        except VerifyMismatchError:
            return False

    def _hash(self, password: str) -> str:
        return self._hasher.hash(_bytes(password))

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._pending >= MAX_PENDING:
            raise Refusal(Reason.UNAVAILABLE, "too many passwords wait to be checked; try again in a few seconds")
        self._pending += 1
        try:
            async with self._workers:
                yield
        finally:
            self._pending -= 1

    async def _in_thread(self, work: Callable[..., T], *arguments: str) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)

    # -- logins ---------------------------------------------------------------------------------

    async def login(self, username: str, password: str, source: str, user_agent: str = "") -> Login:
        """Check a password and hand out a token for it; address and user agent are for the list of logins.

        Raises:
            Refusal: as `check`; PERMISSION_DENIED for an enroller, to whom no operator's door opens.
        """
        while True:
            user, stored = await self._verified(username, password, source)
            if not can_read(user.role):
                raise Refusal(Reason.PERMISSION_DENIED, f"{user.name} has the role {user.role}, which only enrols")
            now, about = self._clock(), {"address": source, "user_agent": user_agent[:_LONGEST_AGENT]}
            made = self._store.credentials.new(LOGIN, user.name, self._login_validity, now, **about)
            entry = Entry(action=Action.LOGIN, user=user.name, address=source, target=made.id)
            token = await self._store.credentials.issue(made, entry)
            if await self._store.users.password_hash(user.name) == stored:
                return Login(token, self._login_validity, user)
            # The password was changed or the user removed since it was checked, and the logins that ended with it
            # did not include this one yet.
            await self._store.tokens.revoke(token_digest(token))

    async def caller(self, token: str, address: str = "") -> Caller | None:
        """Return who asks with a token, with the role and the sight of today; None where it is nobody's any more."""
        now = self._clock()
        found = await self._store.tokens.lookup(token, LOGIN, now, or_kind=PERSONAL)
        user = None if found is None else await self._store.users.get(found.subject)
        if found is None or user is None or not can_read(user.role):
            return None
        self._store.credentials.used(found.digest, now)
        scope = msgspec.json.decode(found.sight, type=Sight) if found.sight else EVERYTHING
        is_personal = found.kind == PERSONAL
        return Caller(
            name=user.name,
            role=user.role if found.role is None else lower_role(user.role, Role(found.role)),
            address=address,
            sight=Sight((*sorted(user.labels.items()), *scope.labels), scope.backends),
            token=(found.id or "") if is_personal else "",
            login="" if is_personal else (found.id or ""),
        )

    async def logout(self, token: str) -> bool:
        """End a login; return whether it was one."""
        found = await self._store.tokens.lookup(token, LOGIN, self._clock())
        return found is not None and await self._store.tokens.revoke(found.digest)

    # -- personal tokens ------------------------------------------------------------------------

    async def add_token(
        self, caller: Caller, login: str, name: str, role: Role, sight: Sight, validity_s: float, act: Act
    ) -> tuple[str, Credential]:
        """Make a personal token of the caller's own; only who asked ever sees it. `login` is the token to ask with.

        Raises:
            QuixError: the name will not do, or another token has it (AlreadyExistsError).
            Refusal: PERMISSION_DENIED, the role may do more than the caller's; TOKEN_INVALID, the login has ended
                meanwhile.
        """
        if not _NAME.fullmatch(name):
            raise QuixError("name: 1 to 64 letters, digits, dots, underscores or hyphens are needed", Exit.DATA)
        if not can_read(role):
            raise QuixError(f"role: a token is for a viewer, an operator or an admin, and not for an {role}", Exit.DATA)
        if lower_role(caller.role, role) is not role:
            raise Refusal(Reason.PERMISSION_DENIED, f"role: a token of {caller.name} is {caller.role} at most")
        made = self._store.credentials.new(
            PERSONAL, caller.name, validity_s, self._clock(), name=name, role=role, sight=sight
        )
        act.about(made.id)
        token = await self._store.credentials.issue(made, act.kept())
        if await self.caller(login, caller.address) is None:
            # As in `login`: what ended the login did not end this token, which was not there yet.
            await self._store.tokens.revoke(token_digest(token))
            raise Refusal(Reason.TOKEN_INVALID)
        return token, made

    # -- users ----------------------------------------------------------------------------------

    async def add_user(
        self,
        name: str,
        role: Role,
        password: str,
        entry: Entry | None = None,
        labels: Mapping[str, str] = MappingProxyType({}),
    ) -> User:
        """Add a user, and with it a row of the audit.

        Raises:
            QuixError: the name or the password will not do, or there is a user of that name (AlreadyExistsError).
            Refusal: UNAVAILABLE, too many passwords wait to be hashed.
        """
        if not _NAME.fullmatch(name):
            raise QuixError("name: 1 to 64 letters, digits, dots, underscores or hyphens are needed", Exit.DATA)
        return await self._store.users.add(name, role, await self._new_hash(password), entry, labels)

    async def set_password(self, name: str, password: str, entry: Entry | None = None) -> bool:
        """Give a user another password and end the user's logins and tokens; return whether there is such a user.

        Raises:
            QuixError: the password will not do.
            Refusal: UNAVAILABLE, too many passwords wait to be hashed.
        """
        return await self._store.users.set_password(name, await self._new_hash(password), entry)

    async def change_password(self, caller: Caller, old: str, new: str, token: str, act: Act) -> None:
        """Give the caller another password, and end the caller's logins but for the one of this token.

        Raises:
            QuixError: the new password will not do.
            Refusal: as `check`, of the old one.
        """
        _check_length(new)
        _, stored = await self._verified(caller.name, old, caller.address)
        fresh = await self._new_hash(new)
        if not await self._store.users.change_password(caller.name, stored, fresh, token_digest(token), act.kept()):
            raise Refusal(Reason.PASSWORD_INVALID)  # it was changed meanwhile

    async def _new_hash(self, password: str) -> str:
        _check_length(password)
        async with self._turn():
            return await self._in_thread(self._hash, password)


def _check_length(password: str) -> None:
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise QuixError(f"password: {MIN_PASSWORD} to {MAX_PASSWORD} characters are needed", Exit.DATA)


def _bytes(password: str) -> bytes:
    # A terminal or a file may give what is not UTF-8, and Python keeps that in surrogates.
    return password.encode(errors="surrogatepass")
