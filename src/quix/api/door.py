"""Where operators' requests arrive: REST on a socket of its own, in the server's process and on its loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import msgspec
import uvicorn
from litestar import Litestar
from litestar.types import Message, Receive, Scope, Send

from quix import logs
from quix.api.app import HEADERS, create
from quix.api.errors import Error
from quix.api.patience import Protocol
from quix.api.problems import Problem
from quix.exits import Exit, QuixError
from quix.hosts import is_loopback
from quix.link import tls
from quix.link.listener import split_address
from quix.server.certificate import tls_files
from quix.server.control import Control
from quix.server.settings import ServerSettings

log = logs.get(__name__)

_GRACE: Final = 5
"""Seconds that requests in progress may still take when the door closes."""

_BACKLOG: Final = 512


@contextlib.asynccontextmanager
async def opened(control: Control) -> AsyncIterator[None]:
    """Answer REST at `settings.http` for as long as the block lasts.

    When it ends, nobody new is let in, and requests in progress have a few seconds to end; what then still waits
    for a backend is answered with 503 `unavailable`.

    Raises:
        QuixError: the address cannot be listened on, or the certificate cannot be used.
    """
    context = _tls(control.settings)
    app = _Closing(create(control))
    sockets = await _bind(control.settings.http)
    server = _Server(_config(app, context))
    serving = asyncio.create_task(server.serve(sockets))
    opening = asyncio.create_task(server.open.wait())
    try:
        await asyncio.wait({serving, opening}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        log.info("listening for operators", address=control.settings.http, tls=context is not None)
        yield
    finally:
        opening.cancel()
        # Streams of events have no end of their own, and would keep the door for as long as it waits for requests.
        control.events.dismiss()
        server.leave()
        await serving
        await server.settled()


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own, and another listener beside this one."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.open = asyncio.Event()
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        """Let nobody in any more, and end."""
        self.should_exit = True
        self._leaving.set()

    async def main_loop(self) -> None:
        """Wait to be told to leave; uvicorn's looks for that ten times a second. Once a second the date is new."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._leaving.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.open.set()

    async def settled(self) -> None:
        """Return when the requests that were cut short have been answered and their sockets closed."""
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)
        for connection in list(self.server_state.connections):
            connection.shutdown()


class _Closing:
    """Answers for a request that uvicorn cuts short because the door closes."""

    def __init__(self, app: Litestar) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            if not has_begun:
                await _say_unavailable(send)


async def _say_unavailable(send: Send) -> None:
    detail = "The server is going down; what was asked may or may not have been done."
    headers = [(b"content-type", b"application/json"), (b"connection", b"close"), *HEADERS]
    await send({"type": "http.response.start", "status": Problem.UNAVAILABLE.status, "headers": headers})
    body = msgspec.json.encode(Error(Problem.UNAVAILABLE.value, detail))
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _config(app: Any, context: ssl.SSLContext | None) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        interface="asgi3",
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        # Only the socket says who is there: headers that name another address can be written by anybody.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
    )
    config.load()
    config.ssl = context
    return config


def _tls(settings: ServerSettings) -> ssl.SSLContext | None:
    """Return what the door encrypts with. On loopback nothing: whoever could listen in there is on this machine."""
    host, _ = split_address(settings.http)
    if is_loopback(host):
        return None
    pair = tls_files(settings)
    if pair is None:
        log.warning(
            "operators' passwords and tokens travel in plain text",
            address=settings.http,
            remedy="give tls_cert and tls_key, or listen on loopback behind a proxy that speaks TLS",
        )
        return None
    return tls.server_context(*pair)


async def _bind(address: str) -> list[socket.socket]:
    """Bind every address that HOST:PORT means. Raises QuixError where that cannot be done."""
    host, port = split_address(address)
    loop = asyncio.get_running_loop()
    sockets: list[socket.socket] = []
    try:
        found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, *_, place in sorted(set(found)):
            if family == socket.AF_INET6 and sockets and not socket.has_dualstack_ipv6():
                continue
            sockets.append(socket.create_server(place, family=family, backlog=_BACKLOG))
    except OSError as error:
        for each in sockets:
            each.close()
        raise QuixError(f"cannot listen on {address}: {error.strerror}", Exit.CONFIG) from error
    return sockets
