"""One server over HTTP: which URLs are taken, what is sent, and what a failure means."""

from __future__ import annotations

import ssl
from typing import Final, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec
from msgspec import Struct

from quix.client.errors import NoAnswerError, NotQuixServerError, ServerUnreachableError, api_error
from quix.exits import Exit, QuixError
from quix.hosts import is_loopback

T = TypeVar("T")

PREFIX: Final = "/api/v1"


class _Error(Struct):
    reason: str
    detail: str


class Connection:
    """Sends requests with a token, where there is one. Redirects are not followed: a token goes to no other server.

    Raises:
        QuixError: the URL, the token or the file of authorities cannot be used.
    """

    def __init__(self, url: str, token: str, timeout: float, ca: str, *, allow_plaintext: bool) -> None:
        self.url = url.rstrip("/")
        self.token = token
        _check_url(self.url, allow_plaintext)
        _check_token(token)
        is_tls = self.url.startswith("https:")
        # Proxies of the environment are for https alone, where they see nothing; over http they would see the token.
        self._http = httpx.Client(
            base_url=self.url + PREFIX, timeout=timeout, verify=_trust(ca) if is_tls else False, trust_env=is_tls
        )

    def close(self) -> None:
        self._http.close()

    def call(
        self, method: str, path: str, kind: type[T], *, body: object = None, params: dict[str, str] | None = None
    ) -> T:
        """Send a request and return its answer as a `kind`."""
        return self.decode(self.send(method, path, body=body, params=params), kind)

    def decode(self, content: bytes | msgspec.Raw, kind: type[T]) -> T:
        """Return what the server said.

        Raises:
            NotQuixServerError: it is not that.
        """
        try:
            return msgspec.json.decode(content, type=kind)
        except msgspec.DecodeError as error:
            raise NotQuixServerError(self.url) from error

    def send(self, method: str, path: str, *, body: object = None, params: dict[str, str] | None = None) -> bytes:
        """Send a request, once, and return the content of its answer."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        content = None if body is None else _encode(body)
        if content is not None:
            headers["Content-Type"] = "application/json"
        try:
            response = self._http.request(method, path, headers=headers, content=content, params=params)
        except httpx.HTTPError as error:
            raise self._trouble(method, error) from error
        if not response.is_success:
            raise self._error(response)
        return response.content

    def _error(self, response: httpx.Response) -> QuixError:
        try:
            error = msgspec.json.decode(response.content, type=_Error)
        except msgspec.DecodeError:
            return NotQuixServerError(self.url)
        return api_error(error.reason, error.detail, response.status_code)

    def _trouble(self, method: str, error: httpx.HTTPError) -> QuixError:
        """Return what it means that there is no answer."""
        tls = _tls_error(error)
        if isinstance(tls, ssl.SSLCertVerificationError):
            return ServerUnreachableError(
                f"{self.url}: its certificate is not trusted ({tls.verify_message}); name who signed it with --ca FILE"
            )
        if tls is not None or isinstance(error, httpx.DecodingError) or _is_other_protocol(error):
            return NotQuixServerError(self.url)
        text = f"{self.url}: {str(error).rstrip('.') or type(error).__name__}"
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


def _encode(body: object) -> bytes:
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError as error:
        raise QuixError("a value is not UTF-8 and cannot be sent", Exit.DATA) from error


def _trust(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca or None)
    except OSError as error:
        raise QuixError(f"ca: {ca}: {error.strerror or error}", Exit.CONFIG) from error


def _check_token(token: str) -> None:
    if not all("!" <= char <= "~" for char in token):
        raise QuixError("token: it holds characters that no token has", Exit.DATA)


def _check_url(url: str, allow_plaintext: bool) -> None:
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
