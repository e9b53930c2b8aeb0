"""The agent's connection to its server: dial, authenticate, stay, and come back when it is lost."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from msgspec import UNSET
from picows import WSListener

from quix import logs
from quix.agent import manager
from quix.agent.identity import Identity, IdentityFile
from quix.agent.settings import AgentSettings
from quix.exits import Exit, QuixError
from quix.link import tls
from quix.link.backoff import Backoff
from quix.link.clock import Clock
from quix.link.connection import Connection
from quix.link.dialler import DialError, NotQuixError, check_url, dial
from quix.link.outcomes import AskError, RefusedError
from quix.link.router import Router
from quix.link.side import Side
from quix.wire.extensions import SUPPORTED, TOKEN
from quix.wire.messages import Authenticate, RenewToken
from quix.wire.peer import Limits
from quix.wire.reasons import CloseCode, Reason

log = logs.get(__name__)

_AUTHENTICATE_TIMEOUT: Final = 60.0
"""Seconds to wait for the answer: a server to which a whole fleet comes back has a queue."""

_STABLE_AFTER: Final = 10.0
"""Seconds a connection must have lasted before the back-off begins anew."""

_PATIENT: Final = 30.0
"""Cap of the next wait, in seconds, where the server asked for patience or another agent took over."""

_STOPPING: Final[dict[str, Exit]] = {
    Reason.PASSWORD_INVALID: Exit.DENIED,
    Reason.ENROLL_DENIED: Exit.DENIED,
    Reason.TOKEN_INVALID: Exit.TOKEN_INVALID,
}
"""Refusals that waiting does not mend: the agent stops, each with an exit code of its own."""


_SAVE_PAUSE: Final = 10.0
"""Seconds until it is tried again to save a token."""


class _NoRoomError(Exception):
    """A token could not be saved, so none was asked for."""


class Session:
    """One connection of the agent, from the upgrade to its end; the context of its handlers.

    Attributes:
        over: close code and reason, once it has ended.
        may_extend: whether the server selected the subprotocol that goes with extensions.
        has_enrolled: whether this session made the machine a new backend.
    """

    connection: Connection[Session]

    def __init__(self, pin: str) -> None:
        self._pin = pin
        self.over: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        self.may_extend = False
        self.has_enrolled = False

    def connected(self, connection: Connection[Session]) -> None:
        self.connection = connection
        if self._pin and not tls.check_pin(self._pin, connection.certificate):
            connection.close(CloseCode.POLICY_VIOLATION, "not the pinned certificate")

    def ended(self, code: int, reason: str) -> None:
        self.over.set_result((code, reason))


class Link:
    """Keeps one session with the server alive until it is cancelled.

    `welcome` is awaited after each authentication, as a task that ends with the session: what
    the agent wants to say first.
    """

    def __init__(
        self,
        settings: AgentSettings,
        identity: IdentityFile,
        router: Router[Session],
        welcome: Callable[[Session], Coroutine[Any, Any, None]],
    ) -> None:
        check_url(settings.server, settings.allow_plaintext)
        self._settings = settings
        self._file = identity
        self._identity = identity.load()
        self._welcome = welcome
        self._tls = self._tls_context()
        self._side = Side(router, Clock(), Limits(message_bytes=settings.max_message))
        self._backoff = Backoff(longest=settings.reconnect_max)
        self._was_connected = False
        self._is_saved = True

    def _tls_context(self) -> ssl.SSLContext | None:
        settings = self._settings
        if not settings.server.startswith("wss:"):
            return None
        return tls.client_context(settings.tls_ca, settings.tls_fingerprint)

    async def run(self) -> None:
        """Connect, again and again, until cancelled.

        Raises:
            QuixError: what stands in the way is nothing that waiting mends.
        """
        self._side.clock.start()
        try:
            while True:
                await self._once()
                manager.tell(f"STATUS=not connected to {self._settings.server}")
                delay = self._backoff.next()
                log.info("connecting again", in_seconds=round(delay, 1))
                await asyncio.sleep(delay)
        finally:
            self._side.clock.stop()
            if not self._is_saved:
                self._save()

    async def _once(self) -> None:
        try:
            session = await self._dial()
        except NotQuixError as error:
            # Later on it is more likely a proxy whose server is away for the moment.
            if not self._was_connected:
                raise QuixError(str(error), Exit.PROTOCOL) from error
            log.warning("no Quix server there", error=str(error))
            return
        except DialError as error:
            log.warning("server not reached", error=str(error))
            return
        try:
            await self._live(session)
        finally:
            session.connection.close(CloseCode.GOING_AWAY, "the agent stops")

    async def _dial(self) -> Session:
        settings = self._settings
        session = Session(settings.tls_fingerprint)

        def connection(agreed: bool) -> WSListener:
            session.may_extend = agreed
            return Connection(session, self._side)

        await dial(
            settings.server,
            connection,
            max_message=settings.max_message,
            tls=self._tls,
            offer_extensions=not settings.seed_only,
        )
        if settings.tls_fingerprint and not session.connection.is_open:
            raise NotQuixError(f"{settings.server}: the certificate is not the pinned one; check tls_fingerprint")
        return session

    async def _live(self, session: Session) -> None:
        try:
            await self._authenticate(session)
        except AskError as error:
            self._not_authenticated(error)
            return
        except _NoRoomError as error:
            log.error("not enrolled: a token could not be saved", error=str(error))  # noqa: TRY400 - it says it all
            return
        self._was_connected = True
        manager.tell(f"STATUS=connected to {self._settings.server}")
        began = time.monotonic()
        companions = [asyncio.create_task(self._welcome(session)), asyncio.create_task(self._save_again())]
        if TOKEN in session.connection.peer.extensions:
            companions.append(asyncio.create_task(self._renew(session)))
        try:
            code, reason = await asyncio.shield(session.over)
        finally:
            await _end(companions)
        log.warning("connection ended", code=code, reason=reason)
        if time.monotonic() - began >= _STABLE_AFTER:
            self._backoff.reset()
        if code in (CloseCode.TRY_AGAIN_LATER, CloseCode.SUPERSEDED):
            self._backoff.at_least(_PATIENT if code == CloseCode.SUPERSEDED else _PATIENT / 4)

    # -- authentication -------------------------------------------------------------------------

    async def _authenticate(self, session: Session) -> None:
        if self._identity is None:
            await self._enroll(session)
            return
        request = Authenticate(extensions=dict(SUPPORTED) if session.may_extend else UNSET)
        answer = await session.connection.ask(request, _AUTHENTICATE_TIMEOUT, self._identity.token)
        self._keep(self._identity.token, answer.validity)
        log.info("resumed", server=self._settings.server, validity=answer.validity)

    async def _enroll(self, session: Session) -> None:
        try:
            # Else there would be one backend more at each attempt, and none that anybody has the token of.
            await asyncio.to_thread(self._file.prove)
        except OSError as error:
            raise _NoRoomError(str(error)) from error
        request = Authenticate(
            username=self._settings.username,
            password=read_password(self._settings),
            extensions=dict(SUPPORTED) if session.may_extend else UNSET,
        )
        answer = await session.connection.ask(request, _AUTHENTICATE_TIMEOUT, None)
        if not isinstance(answer.token, str):
            raise QuixError(f"{self._settings.server}: accepted the password and gave no token", Exit.PROTOCOL)
        self._keep(answer.token, answer.validity)
        session.has_enrolled = True
        log.info("enrolled as a new backend", server=self._settings.server, validity=answer.validity)

    def _keep(self, token: str, validity: int) -> None:
        self._identity = Identity(token=token, expires_at=time.time() + validity)
        self._save()

    def _save(self) -> None:
        assert self._identity is not None
        try:
            self._file.save(self._identity)
        except OSError as error:  # as where the disk is full: somebody may have to come by this very agent to make room
            if self._is_saved:
                log.error("the token could not be saved; trying again", error=str(error))  # noqa: TRY400
            self._is_saved = False
        else:
            if not self._is_saved:
                log.info("the token is saved")
            self._is_saved = True

    async def _save_again(self) -> None:
        while True:
            await asyncio.sleep(_SAVE_PAUSE)
            if not self._is_saved:
                self._save()

    def _not_authenticated(self, error: AskError) -> None:
        if error.reason == Reason.TOKEN_INVALID and self._settings.re_enroll:
            log.warning("the server no longer knows this backend; enrolling as a new one")
            self._file.forget()
            self._identity = None
            return
        if isinstance(error, RefusedError) and error.reason in _STOPPING:
            raise QuixError(_advice(error), _STOPPING[error.reason]) from error
        if error.reason == Reason.RATE_LIMITED:
            self._backoff.at_least(_PATIENT)
        log.warning("not authenticated", reason=error.reason, detail=error.detail)

    async def _renew(self, session: Session) -> None:
        """Extension `token`: get the next token when half the life of this one is over."""
        while True:
            assert self._identity is not None
            await asyncio.sleep(max(1.0, (self._identity.expires_at - time.time()) / 2))
            try:
                answer = await session.connection.ask(RenewToken(), _AUTHENTICATE_TIMEOUT)
            except AskError as error:
                log.warning("token not renewed; will try again", reason=error.reason, detail=error.detail)
                continue
            session.connection.peer.accept(answer.token)
            self._keep(answer.token, answer.validity)
            log.info("token renewed", validity=answer.validity)


def read_password(settings: AgentSettings) -> str:
    """Return the enrolment password. Raises QuixError where there is none to be had."""
    if not settings.username or settings.password_file is None:
        raise QuixError("username, password_file: both are needed to enrol this machine", Exit.CONFIG)
    try:
        return settings.password_file.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise QuixError(f"password_file: cannot read {settings.password_file}: {error}", Exit.CONFIG) from error


def _advice(error: RefusedError) -> str:
    if error.reason == Reason.TOKEN_INVALID:
        return (
            "token_invalid: the server no longer knows this backend; --re-enroll (and a password file) makes a new one"
        )
    return f"{error.reason}: {error.detail}"


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result
