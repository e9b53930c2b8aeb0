"""Alerts by webhook: a POST of JSON, signed as Standard Webhooks says
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import ssl
from typing import TYPE_CHECKING, Final

from quix import __version__
from quix.exits import Exit, QuixError, printable
from quix.server.alerting.errors import DeliveryError

if TYPE_CHECKING:
    import httpx

PREFIX: Final = "whsec_"

_SHORTEST, _LONGEST = 24, 64
_LONGEST_URL: Final = 2000

_TIMEOUT: Final = 10.0
"""Seconds."""

_ANSWER: Final = 2048
"""Bytes that are read of an answer, and characters that are told of it."""
_TOLD: Final = 200


def check_url(url: str) -> None:
    """Raise a QuixError where messages cannot be sent to a URL."""
    import httpx  # a server that tells nobody by webhook does without it

    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise QuixError(f"url: {error}", Exit.DATA) from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise QuixError("url: it must be http://HOST/PATH or https://HOST/PATH", Exit.DATA)
    if parsed.port is not None and not 0 < parsed.port < 65536:
        raise QuixError("url: its port must be 1 to 65535", Exit.DATA)
    if parsed.userinfo or parsed.fragment or len(url) > _LONGEST_URL or not url.isprintable():
        raise QuixError(f"url: at most {_LONGEST_URL} characters, without a user and without a fragment", Exit.DATA)


def check_secret(secret: str) -> bytes:
    """Return the key that a secret holds.

    Raises:
        QuixError: it is none; what it is stays out of the text.
    """
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True) if secret.startswith(PREFIX) else b""
    except (binascii.Error, ValueError):
        key = b""
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise QuixError(
            f"secret: it must be {PREFIX} and {_SHORTEST} to {_LONGEST} bytes in Base64; "
            f'this makes one: echo "{PREFIX}$(openssl rand -base64 32)"',
            Exit.DATA,
        )
    return key


def signature(secret: str, message_id: str, at: int, body: bytes) -> str:
    """Return the `webhook-signature` of a body that is sent at `at`, epoch seconds."""
    signed = b"%s.%d.%s" % (message_id.encode(), at, body)
    digest = hmac.digest(check_secret(secret), signed, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


async def post(url: str, secret: str | None, message_id: str, body: bytes, at: int, trust: ssl.SSLContext) -> None:
    """Send a message. Redirects are not followed: a receiver does not choose where the server's requests go.

    Raises:
        DeliveryError: it did not arrive, or was not taken.
    """
    import httpx

    headers = {
        "content-type": "application/json",
        "user-agent": f"quix/{__version__}",
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
    }
    if secret is not None:
        headers["webhook-signature"] = signature(secret, message_id, at, body)
    try:
        async with (
            asyncio.timeout(_TIMEOUT),  # httpx's is one for each read, and a receiver may send its answer by the byte
            httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False, verify=trust) as client,
            client.stream("POST", url, content=body, headers=headers) as answer,
        ):
            if not answer.is_success:
                said = await _beginning(answer)
                raise DeliveryError(f"the receiver answered {answer.status_code}{': ' if said else ''}{said}")
    except (httpx.TimeoutException, TimeoutError) as error:
        raise DeliveryError(f"the receiver did not answer within {_TIMEOUT:.0f} seconds") from error
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
        raise DeliveryError(
            f"the receiver cannot be reached: {printable(str(error)) or type(error).__name__}"
        ) from error


async def _beginning(answer: httpx.Response) -> str:
    found = b""
    async for part in answer.aiter_raw(_ANSWER):
        found += part
        if len(found) >= _ANSWER:
            break
    return printable(" ".join(found[:_ANSWER].decode(errors="replace").split()))[:_TOLD]
