"""How a browser stays logged in: the token of its login, in a cookie that no script can read."""

from __future__ import annotations

from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie

MARK: Final = "x-quix-console"
"""The header that a request which changes something needs beside the cookie. A page of another origin can only send
it after a preflight, and this server allows none, so that such a page cannot act in a user's name."""

_PLAIN: Final = "quix-login"
_SECURE: Final = "__Host-quix-login"
"""Browsers take a cookie of this name over TLS only, and for this host only (RFC 6265bis section 4.1.3)."""

_SAFE: Final = ("GET", "HEAD", "OPTIONS")

AnyConnection = ASGIConnection[Any, Any, Any, Any]


def token_cookie(connection: AnyConnection, token: str, validity: int) -> Cookie:
    """Return the cookie that logs a browser in for `validity` seconds; 0 logs it out."""
    secure = _is_encrypted(connection)
    return Cookie(
        key=_SECURE if secure else _PLAIN,
        value=token,
        max_age=validity,
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )


def cookie_token(connection: AnyConnection, *, changes: bool = False) -> str:
    """Return the token of the cookie that came with a request; empty where there is none, or where it does not count
    since a request that changes something came without `MARK`."""
    changes = changes or connection.scope.get("method") not in _SAFE
    if changes and not is_marked(connection):
        return ""
    return connection.cookies.get(_SECURE) or connection.cookies.get(_PLAIN) or ""


def is_marked(connection: AnyConnection) -> bool:
    """Whether a page of this server sent the request, or something that is no page at all."""
    return connection.headers.get(MARK) == "1"


def _is_encrypted(connection: AnyConnection) -> bool:
    # Behind a proxy that ends TLS only the browser knows. It tells the truth, and if it did not, it would get a
    # cookie that it keeps to itself.
    return connection.scope["scheme"] == "https" or connection.headers.get("origin", "").startswith("https://")
