"""What both clients know of HTTP: which URLs are taken, what is sent, and what a failure means."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec
from msgspec import Struct

from quix.client.errors import NoAnswerError, NotQuixServerError, ServerUnreachableError, api_error
from quix.exits import Exit, QuixError
from quix.hosts import is_loopback

T = TypeVar("T")

Params = Mapping[str, str | list[str]]
"""A query; what is a list is there several times."""

PREFIX: Final = "/api/v1"

CONNECTIONS: Final = 100
"""Connections of a client at one moment; requests beyond wait for one that is free, for as long as it takes."""

KEPT_CONNECTIONS: Final = 20
"""Connections that stay open for later requests."""

_GATEWAYS: Final = (502, 503, 504)
"""What a proxy says of a server that is away (RFC 9110 sections 15.6.3 to 15.6.5), in words of its own."""


class _Error(Struct):
    reason: str
    detail: str


def limits(connections: int) -> httpx.Limits:
    return httpx.Limits(max_connections=connections, max_keepalive_connections=min(connections, KEPT_CONNECTIONS))


def timeouts(seconds: float) -> httpx.Timeout:
    """Return the time-outs of a request. Waiting for a connection of our own is no failure of the server."""
    return httpx.Timeout(seconds, pool=None)


def headers_of(token: str, headers: Mapping[str, str] | None, content: bytes | None = None) -> dict[str, str]:
    kind = {} if content is None else {"Content-Type": "application/json"}
    return {**(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {}), **kind}


def encode(body: object) -> bytes:
    """Return a body as JSON. Raises QuixError: a text in it is not UTF-8."""
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError as error:
        raise QuixError("a value is not UTF-8 and cannot be sent", Exit.DATA) from error


def decode(url: str, content: bytes | msgspec.Raw, kind: type[T]) -> T:
    """Return what the server said.

    Raises:
        NotQuixServerError: it is not that.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise NotQuixServerError(url) from error


def refusal(url: str, method: str, response: httpx.Response) -> QuixError:
    """Return what it means that the server said no, or that somebody before it did in its place."""
    try:
        error = msgspec.json.decode(response.content, type=_Error)
    except msgspec.DecodeError:
        if response.status_code not in _GATEWAYS:
            return NotQuixServerError(url)
        text = f"{url}: a proxy before the server answered {response.status_code}"
        return ServerUnreachableError(text) if method == "GET" else NoAnswerError(text)
    return api_error(error.reason, error.detail, response.status_code)


def trouble(url: str, method: str, error: httpx.HTTPError) -> QuixError:
    """Return what it means that there is no answer."""
    tls = _tls_error(error)
    if isinstance(tls, ssl.SSLCertVerificationError):
        return ServerUnreachableError(
            f"{url}: its certificate is not trusted ({tls.verify_message}); name who signed it with --ca FILE"
        )
    if tls is not None or isinstance(error, httpx.DecodingError) or _is_other_protocol(error):
        return NotQuixServerError(url)
    text = f"{url}: {str(error).rstrip('.') or type(error).__name__}"
    was_sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
    return NoAnswerError(text) if was_sent and method != "GET" else ServerUnreachableError(text)


def _is_other_protocol(error: httpx.HTTPError) -> bool:
    # h11 says the same kind of error for a connection that ended early, which says nothing of who ended it.
    return isinstance(error, httpx.RemoteProtocolError) and "without sending" not in str(error)


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """Return the TLS error that is behind another, if one is."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error


def trust(url: str, ca: str) -> ssl.SSLContext | bool:
    """Return whom a client believes. Raises QuixError: the file of authorities cannot be used."""
    if not is_tls(url):
        return False
    try:
        return ssl.create_default_context(cafile=ca or None)
    except OSError as error:
        raise QuixError(f"ca: {ca}: {error.strerror or error}", Exit.CONFIG) from error


def is_tls(url: str) -> bool:
    return url.startswith("https:")


def check_token(token: str) -> None:
    """Raise QuixError where no header can hold a token."""
    if not all("!" <= char <= "~" for char in token):
        raise QuixError("token: it holds characters that no token has", Exit.DATA)


def check_url(url: str, allow_plaintext: bool) -> None:
    """Raise QuixError where a URL is none of a server, or would have secrets sent in the clear."""
    try:
        parts = urlsplit(url)
        host = parts.hostname if 0 <= (parts.port or 0) <= 65535 else None
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host:
        raise QuixError(f"url: {url!r} must begin with https:// (or http://) and name a host", Exit.DATA)
    if "@" in parts.netloc or parts.query or parts.fragment:
        # Not repeated in the message: it may hold a password.
        raise QuixError("url: https://HOST:PORT is needed, without user name, query or fragment", Exit.DATA)
    if parts.scheme == "http" and not allow_plaintext and not is_loopback(host):
        raise QuixError(
            f"{url} would send secrets in the clear; use https://, or --allow-plaintext where the network is trusted",
            Exit.DATA,
        )
