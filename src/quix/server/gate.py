"""Who are you: enrolment with a password, resumption with a token, and the life of both."""

from __future__ import annotations

import time
from typing import Final

from quix import logs
from quix.link.router import Router
from quix.server.accounts import Accounts, can_enroll
from quix.server.audit import Auditor
from quix.server.enrolments import KeyChecker, KeyRefusal
from quix.server.events import Hub, Kind
from quix.server.fleet import Fleet
from quix.server.metrics import Metrics
from quix.server.presence import Presence
from quix.server.session import Session
from quix.store import Store
from quix.store.actions import Action
from quix.store.audit import Entry
from quix.store.backends import Backend
from quix.store.enrolments import Enrolment
from quix.store.errors import EnrolmentOverError
from quix.store.tokens import BACKEND
from quix.wire.extensions import agree
from quix.wire.messages import AgentFacts, Authenticate, Authenticated, Done, RenewedToken, RenewToken
from quix.wire.peer import token_digest
from quix.wire.reasons import CloseCode, Reason, Refusal

log = logs.get(__name__)

_MAX_NAME: Final = 1024
"""Longest username or password looked at, in characters: nothing longer was ever accepted as either."""


class Gate:
    """Answers the requests of the extensions `agent` and `token` too: they are about who a backend is."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        keys: KeyChecker,
        fleet: Fleet,
        presence: Presence,
        auditor: Auditor,
        hub: Hub,
        metrics: Metrics,
        *,
        auth_timeout: float,
        token_validity: int,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._keys = keys
        self._fleet = fleet
        self._presence = presence
        self._auditor = auditor
        self._hub = hub
        self._metrics = metrics
        self._auth_timeout = auth_timeout
        self._token_validity = token_validity

    def register(self, router: Router[Session]) -> None:
        router.add(Authenticate, self.authenticate)
        router.add(AgentFacts, self.facts)
        router.add(RenewToken, self.renew)

    # -- the life of a session ------------------------------------------------------------------

    def opened(self, session: Session) -> None:
        self._metrics.sockets.inc()
        session.expect(self._auth_timeout, CloseCode.POLICY_VIOLATION, "not authenticated in time")

    def ended(self, session: Session, code: int, reason: str) -> None:
        self._metrics.sockets.dec()
        self._metrics.closed(code)
        if session.backend_id:
            if self._fleet.dismiss(session):
                self._presence.seen(session.backend_id, session.address)
                self._hub.publish(Kind.BACKEND_DISCONNECTED, session.backend_id, code=code, reason=reason)
            log.info("backend disconnected", backend=session.backend_id, code=code, reason=reason)
        elif code not in (1000, 1001, 1005, 1006):
            log.debug("connection refused", address=session.address, code=code, reason=reason)

    # -- requests -------------------------------------------------------------------------------

    async def authenticate(self, session: Session, request: Authenticate) -> Authenticated:
        """Enrol (`auth` null) or resume (`auth` a token); seed "Initial" and "Basic Authentication"."""
        credential = session.connection.peer.credential
        # The first authenticate came in time; what follows is our work, and the answer has to wait for it.
        session.expect(self._auth_timeout * 3, CloseCode.POLICY_VIOLATION, "not authenticated in time")
        try:
            if credential is None:
                answer = await self._enroll(session, request)
            else:
                answer = await self._resume(session, request, credential)
        except Refusal as refusal:
            if credential is None:
                await self._note_failure(session, request, refusal)
            self._metrics.authenticated(refusal.reason)
            why = {"key": refusal.key, "why": refusal.why} if isinstance(refusal, KeyRefusal) else {}
            log.info("authentication refused", address=session.address, reason=refusal.reason, **why)
            session.expect(self._auth_timeout, CloseCode.POLICY_VIOLATION, "not authenticated in time")
            raise
        self._metrics.authenticated("resumed" if credential else "enrolled")
        return answer

    async def _enroll(self, session: Session, request: Authenticate) -> Authenticated:
        username, password = _required(request)
        key = await self._keys.check(username, password, session.address)
        name = await self._enroller(username, password, session.address) if key is None else key.name
        backend, token = await self._create(name, key, session.address)
        # Asked last: between this and the session's place in the fleet nothing is waited for.
        if not session.connection.is_open:
            # Nobody is left to be told the token, so nobody could ever be this backend.
            gone = Entry(action=Action.BACKEND_REMOVED, backend_id=backend.id, detail={"why": "it left too early"})
            await self._store.backends.remove(backend.id, gone, key=key)
            raise Refusal(Reason.UNAVAILABLE)
        self._hub.publish(Kind.BACKEND_ENROLLED, backend.id, enrolled_by=name)
        extensions = self._admit(session, request, backend.id, token, self._token_validity)
        log.info("backend enrolled", backend=backend.id, user=name, address=session.address)
        answer = Authenticated(token=token, validity=self._token_validity)
        return _with_extensions(answer, session, extensions)

    async def _enroller(self, username: str, password: str, source: str) -> str:
        """Return the name of the user whose password this is, and who may enrol."""
        user = await self._accounts.check(username, password, source)
        if not can_enroll(user.role):
            raise Refusal(Reason.ENROLL_DENIED, f"{user.name} has the role {user.role}, which may not enrol backends")
        return user.name

    async def _create(self, name: str, key: Enrolment | None, source: str) -> tuple[Backend, str]:
        entry = Entry(action=Action.BACKEND_ENROLLED, user=name, address=source)
        try:
            return await self._store.backends.enroll(name, source, self._token_validity, entry, key=key)
        except EnrolmentOverError as error:
            # Another machine was quicker, or somebody has ended the key since it was checked.
            assert key is not None
            raise self._keys.refusal(key, "the key is used up or over", source) from error

    async def _note_failure(self, session: Session, request: Authenticate, refusal: Refusal) -> None:
        """Have the audit say that a machine was not let in."""
        if isinstance(refusal, KeyRefusal):
            detail: dict[str, str | int] = {"why": refusal.why}
            self._auditor.note(
                Entry(
                    action=Action.BACKEND_ENROLLED,
                    user=refusal.key,
                    address=session.address,
                    outcome=refusal.reason,
                    detail=detail,
                )
            )
            return
        username = request.username if isinstance(request.username, str) else ""
        failed = Entry(action=Action.BACKEND_ENROLLED, address=session.address, outcome=refusal.reason)
        await self._auditor.note_failed(failed, username)

    async def _resume(self, session: Session, request: Authenticate, credential: str) -> Authenticated:
        now = time.time()
        token = await self._store.tokens.lookup(credential, BACKEND, now)
        if token is None or not session.connection.is_open:
            raise Refusal(Reason.TOKEN_INVALID)
        extensions = self._admit(session, request, token.subject, credential, token.expires_at - now)
        self._store.tokens.used(token.digest)
        log.info("backend resumed", backend=token.subject, address=session.address)
        return _with_extensions(Authenticated(validity=max(0, int(token.expires_at - now))), session, extensions)

    def _admit(
        self, session: Session, request: Authenticate, backend_id: str, token: str, validity: float
    ) -> dict[str, int]:
        offered = request.extensions if session.may_extend and isinstance(request.extensions, dict) else {}
        extensions = agree(offered)
        session.bind(backend_id, token, token_digest(token), validity, extensions)
        self._fleet.admit(session)
        self._presence.seen(backend_id, session.address)
        self._hub.publish(Kind.BACKEND_CONNECTED, backend_id, address=session.address)
        return extensions

    async def facts(self, session: Session, request: AgentFacts) -> Done:
        """Extension `agent`: keep what the agent says of its machine."""
        if session.facts != request:
            if await self._store.backends.set_facts(session.backend_id, request):
                self._hub.publish(Kind.BACKEND_CHANGED, session.backend_id, name=request.name)
            session.facts = request
        return Done()

    async def renew(self, session: Session, _request: RenewToken) -> RenewedToken:
        """Extension `token`: hand out the next token; the old one lives until the new one is used."""
        now = time.time()
        token = await self._store.tokens.renew(session.token_digest, self._token_validity, now)
        session.use_token(token, token_digest(token), self._token_validity)
        log.info("token renewed", backend=session.backend_id)
        return RenewedToken(token=token, validity=self._token_validity)


def _required(request: Authenticate) -> tuple[str, str]:
    for name, value in (("username", request.username), ("password", request.password)):
        if not isinstance(value, str):
            raise Refusal(Reason.REQUEST_INVALID, f"msg.{name}: this field is required where auth is null")
        if len(value) > _MAX_NAME:
            raise Refusal(Reason.REQUEST_INVALID, f"msg.{name}: over {_MAX_NAME} characters")
    assert isinstance(request.username, str)
    assert isinstance(request.password, str)
    return request.username, request.password


def _with_extensions(answer: Authenticated, session: Session, extensions: dict[str, int]) -> Authenticated:
    if session.may_extend:
        answer.extensions = extensions
    return answer
