# Made from aio/connection.py by tools/sync_client.py: change that, and run `make sdk`.

"""One server over HTTP."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TypeVar

import httpx

from quix.client.errors import ServerUnreachableError
from quix.client.transport import (
    CONNECTIONS,
    PREFIX,
    Params,
    check_token,
    check_url,
    decode,
    encode,
    headers_of,
    is_tls,
    limits,
    refusal,
    timeouts,
    trouble,
    trust,
)

T = TypeVar("T")


class Connection:
    """Sends requests with a token, where there is one. Redirects are not followed: a token goes to no other server.

    Raises:
        QuixError: the URL, the token or the file of authorities cannot be used.
    """

    def __init__(
        self,
        url: str,
        token: str,
        timeout: float,
        ca: str,
        *,
        allow_plaintext: bool,
        connections: int = CONNECTIONS,
    ) -> None:
        self.url = url.rstrip("/")
        self.token = token
        self.timeout = timeout
        check_url(self.url, allow_plaintext)
        check_token(token)
        # Proxies of the environment are for https alone, where they see nothing; over http they would see the token.
        self._http = httpx.Client(
            base_url=self.url + PREFIX,
            timeout=timeouts(timeout),
            limits=limits(connections),
            verify=trust(self.url, ca),
            trust_env=is_tls(self.url),
        )

    def close(self) -> None:
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        body: object = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """Send a request and return its answer as a `kind`."""
        return decode(self.url, self.send(method, path, body=body, params=params, headers=headers), kind)

    def send(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Send a request, once, and return the content of its answer."""
        content = None if body is None else encode(body)
        whole = headers_of(self.token, headers, content)
        try:
            response = self._http.request(method, path, headers=whole, content=content, params=params)
        except httpx.HTTPError as error:
            raise trouble(self.url, method, error) from error
        if not response.is_success:
            raise refusal(self.url, method, response)
        return response.content

    def lines(
        self, path: str, params: Params | None = None, headers: Mapping[str, str] | None = None
    ) -> Generator[bytes]:
        """Yield the lines of an answer, without their ends, as they arrive."""
        whole = headers_of(self.token, headers)
        rest = b""
        try:
            with self._http.stream("GET", path, headers=whole, params=params) as response:
                if not response.is_success:
                    response.read()
                    raise refusal(self.url, "GET", response)
                for chunk in response.iter_bytes():
                    *found, rest = (rest + chunk).split(b"\n")
                    yield from found
        except httpx.HTTPError as error:
            raise trouble(self.url, "GET", error) from error
        if rest:
            # Every line has an end: where the last has none, the answer was cut short.
            raise ServerUnreachableError(f"{self.url}: the answer was cut short")
