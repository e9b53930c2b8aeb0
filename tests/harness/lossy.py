"""A way to a server on which the first answer to a request is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def losing(url: str, wanted: bytes) -> AsyncIterator[str]:
    """Pass connections on to the server at `url`; yield the URL of the way there.

    The first answer to a request that begins with `wanted` arrives here, and its connection is closed instead.
    """
    host, _, port = url.removeprefix("http://").rpartition(":")
    lost: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(host, int(port))
        is_wanted = False

        async def ask() -> None:
            nonlocal is_wanted
            while data := await reader.read(65536):
                is_wanted = data.startswith(wanted)
                to_server.write(data)
            to_server.close()

        asking = asyncio.create_task(ask())
        while data := await from_server.read(65536):
            if is_wanted and not lost:
                lost.append(data)
                break
            writer.write(data)
        writer.close()
        to_server.close()
        asking.cancel()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as way:
        yield f"http://127.0.0.1:{way.sockets[0].getsockname()[1]}"
        assert lost, "there was no such answer"
