"""How long a request may take to arrive, which uvicorn leaves open: only between two requests has it a time limit."""

from __future__ import annotations

import asyncio
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_LIMIT: Final = 60.0
"""Seconds from the connection, or the answer before, to the last byte of a request: 1 MiB over 150 kbit/s."""


class Protocol(H11Protocol):
    """HTTP/1.1 for whoever says what they want in time; the connections of others are closed."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def _look(self) -> None:
        """Have a time limit exactly while a request is awaited, or the rest of one."""
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY) or self.transport.is_closing():
            self._stop()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_LIMIT, self._give_up)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        # Not `close`, which waits for the other side to read what is still to be sent.
        self.transport.abort()
