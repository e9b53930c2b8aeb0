"""One connected agent, seen from the server."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from quix.link.connection import Connection
from quix.wire.messages import AgentFacts
from quix.wire.reasons import CloseCode


class Watcher(Protocol):
    """Who is told of the life of sessions."""

    def opened(self, session: Session) -> None:
        """The upgrade is done; nobody is authenticated yet."""

    def ended(self, session: Session, code: int, reason: str) -> None:
        """The connection is over, called once."""


class Session:
    """From the upgrade to the end of a connection; it belongs to a backend from `bind` on.

    Attributes:
        connection: the link it lives on; set when the upgrade is done.
        may_extend: whether the agent offered extensions in the upgrade.
        backend_id: empty until the connection is authenticated.
        connected_at: seconds since the epoch.
        address: the peer's IP address.
        facts: what the agent said of its machine, where it speaks that extension.
    """

    __slots__ = (
        "_deadline", "_watcher", "address", "backend_id", "connected_at", "connection", "facts", "may_extend",
        "token_digest",
    )  # fmt: skip

    connection: Connection[Session]

    def __init__(self, watcher: Watcher, may_extend: bool) -> None:
        self._watcher = watcher
        self._deadline: asyncio.TimerHandle | None = None
        self.may_extend = may_extend
        self.backend_id = ""
        self.token_digest = b""
        self.connected_at = time.time()
        self.address = ""
        self.facts: AgentFacts | None = None

    @property
    def extensions(self) -> dict[str, int]:
        """Name and version of the extensions agreed on this connection."""
        return self.connection.peer.extensions

    def connected(self, connection: Connection[Session]) -> None:
        self.connection = connection
        self.address = connection.address
        self._watcher.opened(self)

    def ended(self, code: int, reason: str) -> None:
        self._cancel_deadline()
        self._watcher.ended(self, code, reason)

    def expect(self, seconds: float, code: CloseCode, reason: str) -> None:
        """Close the connection in `seconds` unless something else is expected before."""
        self._cancel_deadline()
        self._deadline = asyncio.get_running_loop().call_later(seconds, self.connection.close, code, reason)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def bind(self, backend_id: str, token: str, digest: bytes, validity: float, extensions: dict[str, int]) -> None:
        """The connection is the backend's, until its token ends in `validity` seconds."""
        self.backend_id = backend_id
        self.use_token(token, digest, validity, extensions)

    def use_token(self, token: str, digest: bytes, validity: float, extensions: dict[str, int] | None = None) -> None:
        """The session now holds `token`, which ends in `validity` seconds."""
        self.token_digest = digest
        self.connection.peer.accept(token, extensions)
        self.expect(validity, CloseCode.TOKEN_ENDED, "the token has expired")
