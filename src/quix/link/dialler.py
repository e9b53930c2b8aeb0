"""How an agent reaches its server: one outbound WebSocket."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from picows import WSHandshakeError, WSListener, WSUpgradeRequest, WSUpgradeResponse, ws_connect

from quix.exits import Exit, QuixError
from quix.hosts import is_loopback
from quix.wire.extensions import SUBPROTOCOL

_CONNECT_TIMEOUT: Final = 20.0

MakeListener = Callable[[bool], WSListener]


class DialError(Exception):
    """The server was not reached this time; trying again may help."""


class NotQuixError(DialError):
    """Something answered that is no Quix server: most likely the URL is wrong."""


def check_url(url: str, allow_plaintext: bool) -> None:
    """Raise QuixError where `url` cannot be dialled, or where it would send secrets in the clear.

    Plain ws:// is for loopback, where nobody else listens, unless `allow_plaintext` says that it is meant.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise QuixError(f"server: {url!r} is no URL: {error}", Exit.CONFIG) from error
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise QuixError(f"server: {url!r} must begin with wss:// (or ws://) and name a host", Exit.CONFIG)
    if parts.username or parts.password:
        raise QuixError("server: leave the username and password out of the URL", Exit.CONFIG)
    if parts.scheme == "ws" and not allow_plaintext and not is_loopback(parts.hostname):
        raise QuixError(
            f"server: {url} would send the password and token in the clear; use wss://, or --allow-plaintext "
            "where the network is trusted",
            Exit.CONFIG,
        )


async def dial(
    url: str, make: MakeListener, *, max_message: int, tls: ssl.SSLContext | None, offer_extensions: bool
) -> WSListener:
    """Connect and upgrade; return what `make(agreed)` made, `agreed` being whether the server selected extensions.

    Redirects are not followed: a token goes where its owner sent it, and nowhere else.

    Raises:
        DialError: nothing was reached. NotQuixError: something else than a WebSocket server was.
    """

    def upgraded(_request: WSUpgradeRequest, response: WSUpgradeResponse) -> WSListener:
        return make(response.headers.get("Sec-WebSocket-Protocol") == SUBPROTOCOL)

    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            _, listener = await ws_connect(
                upgraded,
                url,
                ssl_context=tls,
                max_frame_size=max_message,
                max_redirects=0,
                enable_auto_pong=False,  # a `Connection` answers pings, as long as its peer reads
                websocket_handshake_timeout=_CONNECT_TIMEOUT,
                extra_headers={"Sec-WebSocket-Protocol": SUBPROTOCOL} if offer_extensions else None,
            )
    except WSHandshakeError as error:
        raise _refused(url, error) from error
    except ssl.SSLCertVerificationError as error:
        raise DialError(f"{url}: the server's certificate is not trusted: {error.verify_message}") from error
    except (TimeoutError, OSError) as error:
        raise DialError(f"{url}: {str(error) or 'no answer'}") from error
    if listener is None:  # picows has no error for it
        raise DialError(f"{url}: the connection ended before the upgrade was answered")
    return listener


def _refused(url: str, error: WSHandshakeError) -> DialError:
    status = error.response.status if error.response is not None else None
    if status is not None and (status >= 500 or status == 429):
        return DialError(f"{url}: HTTP {int(status)}")
    what = f"HTTP {int(status)}" if status is not None else str(error)
    return NotQuixError(f"{url}: no Quix server there ({what}); check the URL")
