"""The servers under test, each in a process of its own: `python -m bench.servers bare|quix|websockets`.

Spoken to by lines of JSON on standard input, one answer a line. Commands:
    {"roundtrips": SECONDS}  ask every connection again and again; count and own CPU seconds
    {"fanout": true}         ask every connection once, all at once; wall seconds
    {"memory": true}         resident bytes of this process, and connections
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import psutil
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from bench.fleet import enroll
from quix import logs
from quix.server.app import running, settle_memory
from quix.server.settings import ServerSettings
from quix.wire.codec import decoder
from quix.wire.messages import Telemetry, TelemetryAnswer

REQUEST = Telemetry(stat_types=["ttl_cpu_usage", "ttl_mem_usage", "disk_util"])
FRAME = b'{"req":"telemetry","rid":12345,"msg":{"stat_types":["ttl_cpu_usage","ttl_mem_usage","disk_util"]}}'

Ask = Callable[[int], Awaitable[Any]]


class Bare(WSListener):
    """picows alone: write a frame, read a frame, nothing looked at."""

    connections: list[Bare]

    def __init__(self) -> None:
        self.answer: asyncio.Future[None] | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.connections.append(self)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.connections.remove(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT and self.answer is not None:
            frame.get_payload_as_bytes()
            self.answer.set_result(None)

    def ask(self) -> asyncio.Future[None]:
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.send(WSMsgType.TEXT, FRAME)
        return self.answer


async def bare() -> None:
    Bare.connections = []

    def upgrade(_request: WSUpgradeRequest) -> WSListener:
        return Bare()

    server = await ws_create_server(upgrade, "127.0.0.1", 0, read_buffer_init_size=1024, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    await obey({"port": port}, lambda i: Bare.connections[i].ask(), lambda: len(Bare.connections))


async def websockets() -> None:
    from websockets.asyncio.server import ServerConnection, serve
    from websockets.exceptions import ConnectionClosedError

    connections: list[ServerConnection] = []
    waiting: dict[tuple[int, int], asyncio.Future[Any]] = {}
    decode = decoder(TelemetryAnswer).decode
    rids = [0]

    class Response(msgspec.Struct):
        rid: int
        msg: msgspec.Raw

    async def handler(connection: ServerConnection) -> None:
        connections.append(connection)
        with contextlib.suppress(ConnectionClosedError):  # the crowd leaves without a word
            async for message in connection:
                response = msgspec.json.decode(message, type=Response)
                waiting.pop((id(connection), response.rid)).set_result(decode(response.msg))

    async def ask(index: int) -> Any:
        connection = connections[index]
        rids[0] += 1
        future = asyncio.get_running_loop().create_future()
        waiting[id(connection), rids[0]] = future
        request = {"req": "telemetry", "rid": rids[0], "msg": REQUEST}
        await connection.send(msgspec.json.encode(request), text=True)
        return await future

    async with serve(handler, "127.0.0.1", 0, compression=None, ping_interval=None, backlog=4096) as server:
        await obey({"port": next(iter(server.sockets)).getsockname()[1]}, ask, lambda: len(connections))


async def quix(count: int) -> None:
    settle_memory()
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        settings = ServerSettings(data_dir=Path(folder), listen=f"127.0.0.1:{port}")
        async with running(settings) as control:
            ids, tokens = await enroll(control.store, settings.database_url, count)
            fleet = control.fleet
            hello = {"port": port, "tokens": tokens}
            await obey(hello, lambda i: fleet.ask(ids[i], REQUEST), lambda: len(fleet))


def free_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def obey(hello: dict[str, Any], ask: Ask, connections: Callable[[], int]) -> None:
    print(json.dumps(hello), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        if "roundtrips" in command:
            answer = await roundtrips(ask, connections(), command["roundtrips"])
        elif "fanout" in command:
            began = time.perf_counter()
            await asyncio.gather(*(ask(i) for i in range(connections())))
            answer = {"seconds": time.perf_counter() - began}
        else:
            answer = {"rss": psutil.Process().memory_info().rss, "connections": connections()}
        print(json.dumps(answer), flush=True)


async def roundtrips(ask: Ask, connections: int, seconds: float) -> dict[str, float]:
    end = time.perf_counter() + seconds
    done = 0

    async def one(index: int) -> None:
        nonlocal done
        while time.perf_counter() < end:
            await ask(index)
            done += 1

    began = time.process_time()
    await asyncio.gather(*(one(i) for i in range(connections)))
    return {"count": done, "cpu": time.process_time() - began}


if __name__ == "__main__":
    logs.setup(level="warning")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    kinds: dict[str, Callable[[], Awaitable[None]]] = {
        "bare": bare,
        "websockets": websockets,
        "quix": lambda: quix(int(sys.argv[2])),
    }
    uvloop.run(kinds[sys.argv[1]]())  # type: ignore[arg-type]
