"""One end of a Quix WSI connection, without I/O.

Everything that affects the state of a connection lives in this file, and this file does not know which
end it plays: a control server and an agent hold the same `Peer`.

    bytes of a message --receive()--> an Event: a request to handle, an answer to hand on,
                                      bytes to send back, a close, or nothing
    a request of ours  --request()--> bytes to send; its waiter comes back in exactly one of
                                      receive() as Answered, expire(), lost()
    an answer of ours  --respond() / refuse()--> bytes to send

Rids of the two directions are separate spaces. A waiter is opaque here: the shell around the peer
decides what it is (a future, a callback, a name in a test).

              authenticate received            accept()
    OPEN ------------------------> CHECKING --------------> ACCEPTED
     |^                                |                       ^
     |+------------- refuse() ---------+                       |
     +------ receive(): our own authenticate succeeded --------+
"""

from __future__ import annotations

import hashlib
import hmac
from enum import Enum
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct

from quix.wire import codec
from quix.wire.extensions import AGENT
from quix.wire.messages import Authenticate, Authenticated, Request
from quix.wire.reasons import CloseCode, Reason, Refusal

W = TypeVar("W")

__all__ = [
    "Answered",
    "Closing",
    "Event",
    "Incoming",
    "Limits",
    "Peer",
    "Send",
    "State",
    "TooManyRequestsError",
]


class Limits(Struct, frozen=True, kw_only=True):
    """What a peer may ask of us. `message_bytes` and `depth` bound one message, `in_progress` the requests
    of one peer that are being worked on, `malformed` the unreadable messages in a row before a close."""

    message_bytes: int = 2**20
    depth: int = 32
    in_progress: int = 64
    malformed: int = 10


class State(Enum):
    OPEN = "open"
    CHECKING = "checking"
    ACCEPTED = "accepted"


class Incoming(Struct, gc=False):
    """The peer asks; `respond` or `refuse` is owed for `rid`."""

    rid: int
    req: str
    msg: Raw

    def __repr__(self) -> str:
        return f"Incoming(rid={self.rid}, req={self.req!r})"


class Answered(Struct, Generic[W], gc=False):
    """The peer answered the request that `waiter` waits for."""

    waiter: W
    msg: Raw


class Send(Struct, gc=False):
    """Send these bytes; nothing else is to be done."""

    data: bytes


class Closing(Struct, gc=False):
    """Send `data` where there is any, then close the connection."""

    code: CloseCode
    reason: str
    data: bytes | None = None


Event = Incoming | Answered[W] | Send | Closing | None


class _Asked(Struct):
    """Our own authenticate: what became of it is for the peer to know too, see `Peer._authenticated`."""

    rid: int
    token: str | None
    offered: dict[str, int]

    def __repr__(self) -> str:
        return f"_Asked(rid={self.rid})"


class TooManyRequestsError(Exception):
    """This side has as many requests in flight on the connection as a peer need accept."""


class Peer(Generic[W]):
    """The state of one connection, seen from one of its ends.

    Attributes:
        state: how far authentication is; before ACCEPTED only `authenticate` is let through.
        credential: the token that the authentication under way presents; None enrols, or none is under way.
        extensions: name and version of what both sides agreed on; empty for a peer of the seed alone.
        unmatched: responses that nobody waited for, and error reports.
    """

    __slots__ = (
        "_asked", "_digest", "_in_progress", "_limits", "_malformed", "_rid", "_waiting", "credential", "extensions",
        "state", "unmatched",
    )  # fmt: skip

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: dict[int, tuple[W, float]] = {}
        self._in_progress: dict[int, str] = {}
        self._rid = 0
        self._malformed = 0
        self._digest: bytes | None = None
        self._asked: _Asked | None = None
        self.state = State.OPEN
        self.credential: str | None = None
        self.extensions: dict[str, int] = {}
        self.unmatched = 0

    # -- what comes in --------------------------------------------------------------------------

    def receive(self, data: bytes) -> Event[W]:
        """Take one whole text message and return what is to be done about it. Never raises."""
        if len(data) > self._limits.message_bytes:
            return Closing(CloseCode.MESSAGE_TOO_BIG, f"over {self._limits.message_bytes} bytes")
        try:
            envelope = codec.decode_envelope(data, self._limits.depth)
        except codec.MalformedError as error:
            return self._unreadable(error)
        except codec.InvalidUtf8Error as error:
            return Closing(CloseCode.INVALID_TEXT, str(error))
        self._malformed = 0
        if isinstance(envelope, codec.ErrorReport):
            self.unmatched += 1
            return None
        if envelope.req is UNSET:
            return self._response(envelope.rid, envelope.msg)
        return self._admit(envelope, envelope.req)

    def _response(self, rid: int, msg: Raw) -> Answered[W] | None:
        waiting = self._waiting.pop(rid, None)
        if waiting is None:
            self.unmatched += 1
            return None
        if self._asked is not None and self._asked.rid == rid:
            self._authenticated(self._asked, msg)
        return Answered(waiting[0], msg)

    def _admit(self, envelope: codec.Envelope, req: str) -> Incoming | Send:
        auth = None if envelope.auth is UNSET else envelope.auth
        refusal = self._objection(envelope, req, auth)
        if refusal is not None:
            return Send(self._failure(envelope.rid, req, refusal))
        if req == Authenticate.req:
            self.state = State.CHECKING
            self.credential = auth
        self._in_progress[envelope.rid] = req
        return Incoming(envelope.rid, req, envelope.msg)

    def _objection(self, envelope: codec.Envelope, req: str, auth: str | None) -> Refusal | None:
        if envelope.rid in self._in_progress:
            return Refusal(Reason.RID_IN_USE)
        if len(self._in_progress) >= self._limits.in_progress:
            return Refusal(Reason.TOO_MANY_REQUESTS)
        if req == Authenticate.req:
            if envelope.auth is UNSET:
                return Refusal(Reason.REQUEST_INVALID, "auth: this field is required, null or the token")
            if self.state is not State.OPEN:
                return Refusal(Reason.REQUEST_INVALID, "req: this connection is authenticated already")
        elif self.state is not State.ACCEPTED:
            return Refusal(Reason.NOT_AUTHENTICATED)
        elif auth is not None and not self._is_own_token(auth):
            return Refusal(Reason.TOKEN_INVALID)
        return None

    def _unreadable(self, error: codec.MalformedError) -> Event[W]:
        if error.rid is not None and error.is_request:
            return Send(self._failure(error.rid, error.req, Refusal(Reason.REQUEST_INVALID, error.detail)))
        if error.rid is not None:
            # A response: an answer to it could start an endless exchange of complaints.
            return self._response(error.rid, Raw(b"null"))
        self._malformed += 1
        data = codec.encode_failure(None, None, Reason.MESSAGE_INVALID, error.detail)
        if self._malformed >= self._limits.malformed:
            return Closing(CloseCode.MALFORMED, f"{self._malformed} unreadable messages in a row", data)
        return Send(data)

    # -- authentication -------------------------------------------------------------------------

    def accept(self, token: str, extensions: dict[str, int] | None = None) -> None:
        """The connection is authenticated with `token`, and the two sides agreed on `extensions`."""
        self.state = State.ACCEPTED
        self._digest = token_digest(token)
        self.credential = None
        if extensions is not None:
            self.extensions = extensions

    def _authenticated(self, asked: _Asked, msg: Raw) -> None:
        """Our own authenticate was answered.

        Where that was a success the connection is accepted at once: the server may ask in its very next message, which
        can be here before our caller has seen the answer.
        """
        self._asked = None
        try:
            answer: Authenticated = codec.decoder(Authenticated).decode(msg)
        except (msgspec.DecodeError, RecursionError):
            return
        token = answer.token if asked.token is None else asked.token
        if isinstance(token, str):
            agreed = answer.extensions if isinstance(answer.extensions, dict) else {}
            self.accept(
                token, {name: agreed[name] for name in agreed if asked.offered.get(name, 0) >= agreed[name] >= 1}
            )

    def _is_own_token(self, auth: str) -> bool:
        return self._digest is not None and hmac.compare_digest(token_digest(auth), self._digest)

    # -- answers of ours ------------------------------------------------------------------------

    def respond(self, rid: int, msg: Any) -> bytes:
        """Answer the peer's request `rid` with `msg`; return the bytes to send.

        Where `msg` cannot be encoded the error is raised and the request stays in progress, so that it can be refused.
        """
        data = codec.encode_response(rid, msg)
        self._in_progress.pop(rid, None)
        return data

    def refuse(self, rid: int, refusal: Refusal) -> bytes:
        """Answer the peer's request `rid` with a refusal; return the bytes to send."""
        req = self._in_progress.pop(rid, None)
        if req == Authenticate.req and self.state is State.CHECKING:
            self.state = State.OPEN
            self.credential = None
        return self._failure(rid, req, refusal)

    def _failure(self, rid: int, req: str | None, refusal: Refusal) -> bytes:
        explain = AGENT in self.extensions or refusal.reason is Reason.REQUEST_INVALID
        return codec.encode_failure(rid, req, refusal.reason, refusal.detail if explain else None)

    # -- requests of ours -----------------------------------------------------------------------

    def request(self, request: Request[Any], waiter: W, deadline: float, auth: str | None = None) -> bytes:
        """Return the bytes of a new request. `deadline` is a reading of the clock that `expire` is given.

        `auth` is sent on `authenticate` alone, the only request that needs one.

        Raises:
            TooManyRequestsError: as many are in flight as the peer need accept.
        """
        if len(self._waiting) >= self._limits.in_progress:
            raise TooManyRequestsError
        rid = self._next_rid()
        if isinstance(request, Authenticate):
            data = codec.encode_authenticate(rid, request, auth)
            self._asked = _Asked(rid, auth, request.extensions if isinstance(request.extensions, dict) else {})
        else:
            data = codec.encode_request(rid, request)
        self._waiting[rid] = (waiter, deadline)
        return data

    def _next_rid(self) -> int:
        while True:
            self._rid = self._rid % codec.MAX_RID + 1
            if self._rid not in self._waiting:
                return self._rid

    def withdraw(self, waiter: W) -> None:
        """Forget the request of `waiter`: it was not sent after all."""
        self._waiting = {rid: entry for rid, entry in self._waiting.items() if entry[0] is not waiter}

    @property
    def is_waiting(self) -> bool:
        """Whether a request of ours is in flight."""
        return bool(self._waiting)

    def expire(self, now: float) -> list[W]:
        """Forget the requests whose deadline has passed, and return their waiters."""
        late = [rid for rid, (_, deadline) in self._waiting.items() if deadline <= now]
        return [self._waiting.pop(rid)[0] for rid in late]

    def lost(self) -> list[W]:
        """The connection is gone: forget every request in flight, and return their waiters."""
        waiters = [waiter for waiter, _ in self._waiting.values()]
        self._waiting.clear()
        return waiters


def token_digest(token: str) -> bytes:
    """Return what may be kept of a token: tokens are random, so a plain SHA-256 is enough."""
    return hashlib.sha256(token.encode()).digest()
