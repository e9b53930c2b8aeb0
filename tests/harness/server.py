"""A control server's agents' side in this process, and a client of it that speaks JSON by hand."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import shutil
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
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

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of plain HTTP: to read the system's authorities takes 20 ms, which is longer than most requests."""

_SLICE = 1_000
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
# Each worker has ports of its own, and gives none of them twice before all have been given: between the choice of a
# port and the `listen` of a server that takes a second to start, nobody else chooses it. The first is another in each
# run, for two runs at a time; hypothesis, which seeds `random`, has no say in it.
_FIRST = random.SystemRandom().randrange(_SLICE)
_PORTS = itertools.cycle(10_000 + _WORKER % 22 * _SLICE + (_FIRST + n) % _SLICE for n in range(_SLICE))


def free_port() -> int:
    """Return a TCP port that nobody has, from below those that the kernel gives to whoever asks for any (ip(7),
    ip_local_port_range): no connection is given it before it is listened on."""
    while True:
        port = next(_PORTS)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
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


class _Furniture:
    """Data folders of servers that have just been set up, made once for each set of users: the tables take a while, and
    so does hashing a password, on purpose."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="quix-furniture-")
        self._made: dict[tuple[tuple[str, Role], ...], Path] = {}

    async def put_into(self, data_dir: Path, users: Mapping[str, Role]) -> None:
        wanted = tuple(users.items())
        if wanted not in self._made:
            folder = Path(self._folder.name, str(len(self._made)))
            async with running(ServerSettings(data_dir=folder, listen=f"127.0.0.1:{free_port()}")) as control:
                for name, role in wanted:
                    await control.accounts.add_user(name, role, PASSWORD)
            self._made[wanted] = folder
        shutil.copytree(self._made[wanted], data_dir, dirs_exist_ok=True)


_FURNITURE = _Furniture()

USERS: Mapping[str, Role] = {"gate": Role.ENROLLER, "watch": Role.VIEWER}


@asynccontextmanager
async def door(data_dir: Path, users: Mapping[str, Role] = USERS, **settings: Any) -> AsyncIterator[Door]:
    """Run a server, which has these users where its data folder is new."""
    port = free_port()
    chosen = ServerSettings(data_dir=data_dir, listen=f"127.0.0.1:{port}", **settings)
    if not data_dir.exists() or not any(data_dir.iterdir()):
        await _FURNITURE.put_into(data_dir, users)
    async with running(chosen) as control:
        yield Door(control, f"ws://127.0.0.1:{port}/wsi")
