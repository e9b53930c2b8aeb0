"""The management interface of a running openvpn(8) (doc/management-notes.txt in its sources)."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

_TIMEOUT: Final = 5.0
"""Seconds in which the daemon answers; it does nothing else meanwhile, and talks to one caller at a time."""


async def end_client(socket: Path, name: str) -> bool:
    """End the connections of the client with the common name `name`; return whether there was one.

    `name` holds neither white space nor quotes.

    Raises:
        OSError: no daemon is there.
        TimeoutError: the daemon did not answer.
    """
    async with asyncio.timeout(_TIMEOUT):
        reader, writer = await _connect(socket)
        try:
            writer.write(f"kill {name}\n".encode())
            await writer.drain()
            async for line in reader:
                if line.startswith((b"SUCCESS:", b"ERROR:")):
                    return line.startswith(b"SUCCESS:")
            raise ConnectionResetError("the daemon ended")
        finally:
            writer.close()
            await writer.wait_closed()


async def _connect(socket: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    # By way of the folder's descriptor, since an address has room for 108 bytes (unix(7)) and paths may be longer.
    folder = os.open(socket.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/{socket.name}")
    finally:
        os.close(folder)
