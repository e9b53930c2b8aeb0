"""A way to a server on which one answer is lost, or replaced by that of somebody in between."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_BEGIN = re.compile(rb"(GET|POST|PUT|PATCH|DELETE) ")


def page(status: int) -> bytes:
    """The answer of a proxy that cannot reach who is behind it."""
    body = b"<html><head><title>Sorry</title></head><body><center>nginx</center></body></html>"
    head = f"HTTP/1.1 {status} Sorry\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@asynccontextmanager
async def losing(url: str, wanted: bytes, instead: bytes = b"") -> AsyncIterator[str]:
    """Pass connections on to the server at `url`; yield the URL of the way there.

    The first answer to a request whose first line matches `wanted`, a regular expression, arrives here. Its connection
    is given what there is `instead`, and closed.
    """
    host, _, port = url.removeprefix("http://").rpartition(":")
    lost: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(host, int(port))
        is_wanted = False

        async def ask() -> None:
            nonlocal is_wanted
            while data := await reader.read(65536):
                if _BEGIN.match(data):  # and not a body that comes after its head
                    is_wanted = re.match(wanted, data) is not None
                to_server.write(data)
            to_server.close()

        asking = asyncio.create_task(ask())
        while data := await from_server.read(65536):
            if is_wanted and not lost:
                lost.append(data)
                writer.write(instead)
                break
            writer.write(data)
        writer.close()
        to_server.close()
        asking.cancel()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as way:
        yield f"http://127.0.0.1:{way.sockets[0].getsockname()[1]}"
        assert lost, "there was no such answer"
