"""Where peers dial in: the WebSocket upgrade, and of HTTP else what a GET is answered with at once."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Final

from picows import WSListener, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener, ws_create_server

from quix.exits import Exit, QuixError
from quix.wire.extensions import SUBPROTOCOL

_PATHS: Final = frozenset({b"/wsi", b"/"})

_READ_BUFFER: Final = 1024
"""Bytes a connection reads into at first; it grows with the messages that come. Most of the memory of an
idle connection is this buffer."""

_BACKLOG: Final = 4096
"""Connections the kernel may hold for us: a fleet that comes back after a restart comes at once."""

_UPGRADE_TIMEOUT: Final = 10.0

MakeListener = Callable[[bool], WSListener]
"""Makes a connection; the argument says whether the peer offered extensions by the subprotocol."""


Answer = Callable[[bytes], WSUpgradeResponse | None]
"""Takes the path of a GET, without its query, and returns the answer; None where there is nothing."""


def split_address(address: str) -> tuple[str, int]:
    """Split HOST:PORT, or [HOST]:PORT for IPv6. Raises QuixError where it is neither."""
    host, _, port = address.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise QuixError(f"{address!r} is no HOST:PORT", Exit.CONFIG)
    return host.removeprefix("[").removesuffix("]"), int(port)


async def listen(
    address: str, make: MakeListener, max_message: int, tls: ssl.SSLContext | None, answer: Answer
) -> asyncio.Server:
    """Accept peers at `address` (HOST:PORT) until the returned server is closed.

    Raises:
        QuixError: the address cannot be listened on.
    """
    host, port = split_address(address)
    options: dict[str, Any] = {
        "websocket_handshake_timeout": _UPGRADE_TIMEOUT,
        "max_frame_size": max_message,
        "read_buffer_init_size": _READ_BUFFER,
        "backlog": _BACKLOG,
        "enable_auto_pong": False,  # a `Connection` answers pings, as long as its peer reads
        "ssl": tls,
    }
    try:
        return await ws_create_server(lambda request: _upgrade(request, make, answer), host or None, port, **options)
    except OSError as error:
        raise QuixError(f"cannot listen on {address}: {error.strerror}", Exit.CONFIG) from error


def _upgrade(request: WSUpgradeRequest, make: MakeListener, answer: Answer) -> WSUpgradeResponseWithListener | None:
    path = request.path.partition(b"?")[0]
    if path not in _PATHS:
        found = answer(path)  # picows has refused all but GET
        return None if found is None else WSUpgradeResponseWithListener(found, None)
    offered = ",".join(request.headers.getall("Sec-WebSocket-Protocol", []))
    if SUBPROTOCOL not in (name.strip() for name in offered.split(",")):
        return WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(), make(False))
    response = WSUpgradeResponse.create_101_response({"Sec-WebSocket-Protocol": SUBPROTOCOL})
    return WSUpgradeResponseWithListener(response, make(True))
