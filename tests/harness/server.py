"""A control server's agents' side in this process, and a client of it that speaks JSON by hand."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection, connect

from quix.server.app import running
from quix.server.control import Control
from quix.server.settings import ServerSettings
from quix.store.users import Role

PASSWORD = "correct horse"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Client:
    """One WebSocket; `ask` sends a request and returns the `msg` of its answer."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._rids = itertools.count(1)

    async def send(self, req: str, msg: Any, **envelope: Any) -> int:
        rid = next(self._rids)
        await self.connection.send(json.dumps({"req": req, "rid": rid, "msg": msg, **envelope}))
        return rid

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            message: dict[str, Any] = json.loads(await self.connection.recv())
            return message

    async def ask(self, req: str, msg: Any, **envelope: Any) -> Any:
        rid = await self.send(req, msg, **envelope)
        answer = await self.receive()
        assert answer["rid"] == rid, answer
        return answer["msg"]

    async def enroll(self, username: str = "gate", password: str = PASSWORD, **msg: Any) -> Any:
        return await self.ask("authenticate", {"username": username, "password": password, **msg}, auth=None)

    async def resume(self, token: str, **msg: Any) -> Any:
        return await self.ask("authenticate", msg, auth=token)

    async def closed(self) -> tuple[int, str]:
        """Wait until the server has closed; return its code and reason."""
        try:
            async with asyncio.timeout(10):
                while True:
                    await self.connection.recv()
        except websockets.ConnectionClosed as error:
            assert error.rcvd is not None
            return error.rcvd.code, error.rcvd.reason


class Door:
    """A running server and its address."""

    def __init__(self, control: Control, url: str) -> None:
        self.control = control
        self.url = url

    @asynccontextmanager
    async def client(self, *, extend: bool = False) -> AsyncIterator[Client]:
        names = [websockets.Subprotocol("quix-wsi.1")] if extend else None
        async with connect(self.url, subprotocols=names, ping_interval=None) as connection:
            yield Client(connection)


@asynccontextmanager
async def door(data_dir: Path, **settings: Any) -> AsyncIterator[Door]:
    """Run a server with the users `gate` (enroller) and `watch` (viewer)."""
    port = free_port()
    chosen = ServerSettings(data_dir=data_dir, listen=f"127.0.0.1:{port}", **settings)
    async with running(chosen) as control:
        if await control.store.users.get("gate") is None:
            await control.accounts.add_user("gate", Role.ENROLLER, PASSWORD)
            await control.accounts.add_user("watch", Role.VIEWER, PASSWORD)
        yield Door(control, f"ws://127.0.0.1:{port}/wsi")
