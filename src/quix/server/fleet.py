"""The backends that are connected to this server, and asking them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Final, TypeVar

from quix.link.outcomes import BackendOfflineError
from quix.server.metrics import Metrics
from quix.server.session import Session
from quix.wire.messages import Request
from quix.wire.reasons import CloseCode

A = TypeVar("A")

_DRAIN_LOOK: Final = 0.05


class Fleet:
    """Live sessions by backend id; a backend has one at most."""

    def __init__(self, metrics: Metrics, ask_timeout: float) -> None:
        self._sessions: dict[str, Session] = {}
        self._awaited: dict[str, asyncio.Future[None]] = {}
        self._metrics = metrics
        self._ask_timeout = ask_timeout

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._sessions.values()))

    def session(self, backend_id: str) -> Session | None:
        """Return the backend's live session, or None while it is offline."""
        return self._sessions.get(backend_id)

    def ask(self, backend_id: str, request: Request[A], timeout: float | None = None) -> asyncio.Future[A]:
        """Ask a backend; the future gives its answer, within `timeout` seconds (default: the server's `ask_timeout`).

        A request is never sent twice: whoever gets `timeout` or `connection_lost` decides what to do about it. No
        coroutine, since this is the hot path: `await` it at once.

        Raises:
            AskError: one of `quix.link.outcomes`, here where nothing was sent, else by the future; exactly one
                outcome, always.
        """
        session = self._sessions.get(backend_id)
        if session is None:
            self._metrics.outcomes[request.req, BackendOfflineError.reason] += 1
            raise BackendOfflineError
        return session.connection.ask(request, timeout or self._ask_timeout)

    def admit(self, session: Session) -> None:
        """Take in an authenticated session; an older one of the same backend is closed first (4001)."""
        older = self._sessions.get(session.backend_id)
        if older is not None and older is not session:
            older.connection.close(CloseCode.SUPERSEDED, "superseded by a newer connection of this backend")
        self._sessions[session.backend_id] = session
        if self._awaited and (waiter := self._awaited.pop(session.backend_id, None)) is not None:
            waiter.set_result(None)
        self._metrics.connected.set(len(self._sessions))

    def dismiss(self, session: Session) -> bool:
        """Forget a session that ended; return whether it was still the backend's."""
        if self._sessions.get(session.backend_id) is not session:
            return False
        del self._sessions[session.backend_id]
        self._metrics.connected.set(len(self._sessions))
        return True

    def disconnect(self, backend_id: str, code: CloseCode, reason: str) -> bool:
        """Close the backend's connection; return whether it had one."""
        session = self._sessions.get(backend_id)
        if session is None:
            return False
        session.connection.close(code, reason)
        return True

    async def returned(self, backend_id: str, limit: float) -> bool:
        """Wait until the backend is connected, for `limit` seconds at most; return whether it is."""
        if backend_id in self._sessions:
            return True
        waiter = self._awaited.setdefault(backend_id, asyncio.get_running_loop().create_future())
        done, _ = await asyncio.wait((waiter,), timeout=limit)
        return bool(done)

    async def drain(self, grace: float) -> None:
        """Give requests in flight `grace` seconds to be answered, then send every backend away (1013).

        What is not answered by then ends as `connection_lost`, while somebody is still there to be told.
        """
        end = time.monotonic() + grace
        # Looked at, since an event that tells would have to be set on the hot path.
        while time.monotonic() < end and any(session.connection.peer.is_waiting for session in self):  # noqa: ASYNC110
            await asyncio.sleep(_DRAIN_LOOK)
        for session in self:
            session.connection.close(CloseCode.TRY_AGAIN_LATER, "the server is going down")
