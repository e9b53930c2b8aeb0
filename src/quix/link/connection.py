"""A `wire.peer.Peer` on a real WebSocket.

The path of a message is callbacks only: picows hands a frame to `on_ws_frame`, the peer says what it is,
and an answer goes straight into the future its caller awaits. There is no task a connection; a request that
comes in gets one only where its handler is a coroutine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec
from msgspec import Raw
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from quix import logs
from quix.link.outcomes import (
    AnswerInvalidError,
    AskError,
    BackendOfflineError,
    ConnectionLostError,
    RefusedError,
    RequestTimeoutError,
    TooBusyError,
)
from quix.link.side import Side
from quix.wire.codec import decode_failure, decoder, field_detail
from quix.wire.messages import Request
from quix.wire.peer import Answered, Closing, Incoming, Peer, Send, State, TooManyRequestsError
from quix.wire.reasons import CloseCode, Reason, Refusal

A = TypeVar("A")
C = TypeVar("C", bound="Owner")

log = logs.get(__name__)

_CLOSE_GRACE: Final = 2.0
"""Seconds between our close frame and cutting the connection, for the peer to read it."""

_LAST_PING_GRACE: Final = 10.0
"""Seconds to wait for an answer to the second unanswered ping: 20 + 20 + 10 is below the promised 60."""

_BUFFERED_MESSAGES: Final = 16
"""How many of the largest messages may wait to be read by an authenticated peer before it is cut off."""

_TEXT = WSMsgType.TEXT

Waiter = tuple["asyncio.Future[Any]", Callable[[Raw], Any], str]
"""The future of the caller, the decoder of the answer, and the name of the request."""


class Owner(Protocol):
    """What a connection belongs to, and what its handlers are given: a server's session or an agent's."""

    def connected(self, connection: Any) -> None:
        """The upgrade is done; messages may be sent."""

    def ended(self, code: int, reason: str) -> None:
        """The connection is over, called once; `code` 1006 where it ended without a close frame."""


class Connection(WSListener, Generic[C]):
    """One live connection.

    Attributes:
        peer: the protocol's state.
        is_open: whether messages can be sent; once False it stays so.
    """

    __slots__ = ("_congested", "_loop", "_owner", "_partial", "_side", "_transport", "_unanswered", "is_open", "peer")

    def __init__(self, owner: C, side: Side[C]) -> None:
        self.peer: Peer[Waiter] = Peer(side.limits)
        self.is_open = False
        self._owner = owner
        self._side = side
        self._loop = asyncio.get_running_loop()
        self._transport: WSTransport | None = None
        self._partial: bytearray | None = None
        self._unanswered = 0
        self._congested = False

    @property
    def address(self) -> str:
        """The peer's IP address, or an empty string where the connection is gone."""
        if self._transport is None:
            return ""
        peername = self._transport.underlying_transport.get_extra_info("peername")
        return str(peername[0]) if peername else ""

    @property
    def certificate(self) -> bytes | None:
        """The certificate the peer showed, in DER form; None without TLS."""
        if self._transport is None:
            return None
        tls = self._transport.underlying_transport.get_extra_info("ssl_object")
        return None if tls is None else tls.getpeercert(binary_form=True)

    # -- requests of ours -----------------------------------------------------------------------

    def ask(self, request: Request[A], timeout: float, auth: str | None = None) -> asyncio.Future[A]:
        """Send a request; the future gives its answer, within `timeout` seconds.

        The future raises an `AskError` of `link.outcomes` where there is no answer: exactly one outcome, always.

        Raises:
            AskError: nothing was sent (BackendOfflineError, TooBusyError, or RefusedError for a message too large).
        """
        if not self.is_open or self._transport is None:
            raise BackendOfflineError
        if self._congested and self._is_hoarding():
            raise TooBusyError("The backend has not read yet what it was sent before; nothing was sent.")
        future: asyncio.Future[A] = self._loop.create_future()
        waiter = (future, decoder(request.answer).decode, request.req)
        try:
            data = self.peer.request(request, waiter, self._loop.time() + timeout, auth)
        except TooManyRequestsError:
            raise TooBusyError from None
        if len(data) > self._side.limits.message_bytes:
            self.peer.withdraw(waiter)
            raise RefusedError(Reason.REQUEST_INVALID, "msg: larger than a message may be; nothing was sent")
        self._side.clock.asking(self)
        self._transport.send(_TEXT, data)
        return future

    def expire(self, now: float) -> bool:
        for waiter in self.peer.expire(now):
            self._fail(waiter, RequestTimeoutError())
        return self.peer.is_waiting

    def _fail(self, waiter: Waiter, error: AskError) -> None:
        future, _, req = waiter
        if not future.done():  # else its caller gave up
            future.set_exception(error)
            self._side.outcomes[req, error.reason if not isinstance(error, RefusedError) else "refused"] += 1

    # -- what comes in (called by picows) -------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self.is_open = True
        self._side.clock.add(self)
        self._owner.connected(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self._unanswered = 0
        if not self.is_open:
            if frame.msg_type is WSMsgType.CLOSE:
                transport.disconnect()
            return
        if frame.msg_type is _TEXT and frame.fin and self._partial is None and not frame.rsv1:
            self._receive(frame.get_payload_as_bytes())
        else:
            self._uncommon_frame(frame)

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        self._end(1006, "the connection was cut")
        self._transport = None

    def _receive(self, data: bytes) -> None:
        event = self.peer.receive(data)
        if type(event) is Answered:
            self._resolve(event.waiter, event.msg)
        elif type(event) is Incoming:
            self._handle(event)
        elif type(event) is Send:
            self._send(event.data)
        elif type(event) is Closing:
            if event.data is not None:
                self._send(event.data)
            self.close(event.code, event.reason)

    def _resolve(self, waiter: Waiter, msg: Raw) -> None:
        future, decode, req = waiter
        try:
            answer = decode(msg)
        except (msgspec.DecodeError, RecursionError) as error:
            self._fail(waiter, _no_answer(msg, error))
        else:
            if not future.done():
                future.set_result(answer)
                self._side.outcomes[req, "answered"] += 1

    # -- requests of the peer -------------------------------------------------------------------

    def _handle(self, incoming: Incoming) -> None:
        try:
            route = self._side.router.resolve(incoming.req, self.peer.extensions)
            answer = route.handler(self._owner, route.decode(incoming.msg))
            if isinstance(answer, Awaitable):
                self._side.router.run(self._finish(incoming, answer))
            else:
                self._respond(incoming.rid, answer)
        except Refusal as refusal:
            self._send(self.peer.refuse(incoming.rid, refusal))
        except Exception:
            log.exception("request failed", req=incoming.req, rid=incoming.rid)
            self._send(self.peer.refuse(incoming.rid, Refusal(Reason.INTERNAL_ERROR)))

    async def _finish(self, incoming: Incoming, answer: Awaitable[Any]) -> None:
        try:
            self._respond(incoming.rid, await answer)
        except Refusal as refusal:
            self._send(self.peer.refuse(incoming.rid, refusal))
        except Exception:
            log.exception("request failed", req=incoming.req, rid=incoming.rid)
            self._send(self.peer.refuse(incoming.rid, Refusal(Reason.INTERNAL_ERROR)))

    def _respond(self, rid: int, answer: Any) -> None:
        data = self.peer.respond(rid, answer)
        if len(data) > self._side.limits.message_bytes:
            refusal = Refusal(Reason.INTERNAL_ERROR, f"the answer is over {self._side.limits.message_bytes} bytes")
            data = self.peer.refuse(rid, refusal)
        self._send(data)

    # -- frames off the hot path ----------------------------------------------------------------

    def _uncommon_frame(self, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind is WSMsgType.CLOSE:
            self._peer_closes(frame)
        elif kind is WSMsgType.PONG:
            pass
        elif kind is WSMsgType.PING:
            # Not to a peer that reads no answers: they would pile up here. Whoever pings, pings again.
            if self._transport is not None and not self._congested:
                self._transport.send_pong(frame.get_payload_as_bytes())
        elif frame.rsv1 or frame.rsv2 or frame.rsv3:
            self.close(CloseCode.PROTOCOL_ERROR, "a reserved bit is set and no extension was agreed")
        elif kind is WSMsgType.BINARY:
            self.close(CloseCode.UNSUPPORTED_DATA, "messages are text")
        else:
            self._fragment(frame)

    def _fragment(self, frame: WSFrame) -> None:
        """Put a message together that came in several frames (RFC 6455 section 5.4)."""
        if (frame.msg_type is _TEXT) != (self._partial is None):
            self.close(CloseCode.PROTOCOL_ERROR, "a fragment out of place")
            return
        if self._partial is None:
            self._partial = bytearray()
        if len(self._partial) + frame.payload_size > self._side.limits.message_bytes:
            self.close(CloseCode.MESSAGE_TOO_BIG, f"over {self._side.limits.message_bytes} bytes")
            return
        self._partial += frame.get_payload_as_memoryview()
        if frame.fin:
            data, self._partial = bytes(self._partial), None
            self._receive(data)

    def _peer_closes(self, frame: WSFrame) -> None:
        transport = self._transport
        code, reason = frame.get_close_code(), frame.get_close_reason() or ""
        self._end(_number(code) or 1005, reason)
        if transport is not None:
            # RFC 6455 section 5.5.1: the close is echoed; 1005 is never sent.
            _send_close(transport, _number(code) or CloseCode.NORMAL, "")
            transport.disconnect()
            # That waits until all that was sent is read, for ever where need be.
            self._loop.call_later(_CLOSE_GRACE, self.cut)

    # -- sending, back-pressure and the end -----------------------------------------------------

    def _send(self, data: bytes) -> None:
        if not self.is_open or self._transport is None:
            return
        if self._congested and self._is_hoarding():
            log.warning("peer does not read what it asked for; cut off", authenticated=self._is_accepted)
            self.abort("the peer does not read")
            return
        self._transport.send(_TEXT, data)

    @property
    def _is_accepted(self) -> bool:
        return self.peer.state is State.ACCEPTED

    def _is_hoarding(self) -> bool:
        assert self._transport is not None
        allowed = _BUFFERED_MESSAGES * self._side.limits.message_bytes if self._is_accepted else 0
        return self._transport.underlying_transport.get_write_buffer_size() > allowed

    def pause_writing(self) -> None:
        self._congested = True

    def resume_writing(self) -> None:
        self._congested = False

    def beat(self) -> None:
        """Ping; end the connection where two pings in a row stay unanswered (any frame is an answer)."""
        if not self.is_open or self._transport is None:
            return
        self._unanswered += 1
        self._transport.send_ping()
        if self._unanswered >= 2:
            self._loop.call_later(_LAST_PING_GRACE, self._check_silence)

    def _check_silence(self) -> None:
        if self._unanswered >= 2:
            self.abort("two pings stayed unanswered")

    def close(self, code: int, reason: str) -> None:
        """Say goodbye and end the connection; requests in flight end as `connection_lost` at once."""
        transport = self._transport
        if not self.is_open or transport is None:
            return
        self._end(code, reason)
        _send_close(transport, code, reason)
        self._loop.call_later(_CLOSE_GRACE, self.cut)

    def abort(self, reason: str) -> None:
        """End the connection without a word: nobody is there to read one."""
        self._end(1006, reason)
        self.cut()

    def cut(self) -> None:
        """Drop the socket, and with it whatever was not sent yet."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def _end(self, code: int, reason: str) -> None:
        if not self.is_open:
            return
        self.is_open = False
        self._side.clock.remove(self)
        self._partial = None
        for waiter in self.peer.lost():
            self._fail(waiter, ConnectionLostError())
        self._owner.ended(int(code), reason)


def _no_answer(msg: Raw, error: Exception) -> AskError:
    failure = decode_failure(msg)
    if failure is None:
        return AnswerInvalidError(field_detail(error))
    return RefusedError(failure.reason, "" if failure.detail is msgspec.UNSET else failure.detail)


def _send_close(transport: WSTransport, code: int, reason: str) -> None:
    # A control frame holds 125 bytes, two of them the code (RFC 6455 section 5.5).
    text = reason.encode()[:123].decode(errors="ignore")
    transport.send_close(code, text)  # type: ignore[arg-type]  # picows takes any code, its stub only its own


def _number(code: WSCloseCode) -> int:
    number: int = code.value
    return number
