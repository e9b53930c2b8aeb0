"""A fleet that pushes samples: `python -m bench.telemetry load|server ...`.

The server is a whole one on SQLite. The load knows what an agent knows, and no more: a number, and a sample that
changes.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import psutil
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.fleet import enroll
from bench.servers import free_port
from quix import logs
from quix.server.app import running, settle_memory
from quix.server.settings import ServerSettings

CONCURRENT_DIALS: Final = 256


class Pusher(WSListener):
    """One simulated backend."""

    def __init__(self, token: str, opened: asyncio.Future[None]) -> None:
        self.token = token
        self.opened = opened
        self.seq = 0
        self.memory = random.uniform(1e9, 6e10)
        self.disk = random.uniform(1e10, 1e12)

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        hello = f'{{"auth":"{self.token}","req":"authenticate","rid":1,"msg":{{"extensions":{{"telemetry":1}}}}}}'
        transport.send(WSMsgType.TEXT, hello.encode())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT and not self.opened.done():
            data = frame.get_payload_as_bytes()
            if b'"telemetry":1' in data:
                self.opened.set_result(None)
            else:
                self.opened.set_exception(RuntimeError(data.decode()))
        elif frame.msg_type == WSMsgType.TEXT and b'"failure"' in frame.get_payload_as_bytes():
            Load.failed += 1

    def push(self) -> None:
        self.seq += 1
        self.memory = min(6.4e10, self.memory * random.gauss(1, 0.01))
        self.disk = min(2e12, self.disk + random.randrange(10**7))
        cpu = min(1.0, abs(random.gauss(0.2, 0.1)))
        net = random.lognormvariate(10, 2)
        sample = (
            f'{{"seq":{self.seq},"at":{time.time():.3f},"cpu":{cpu:.4f},"cpu_busiest":{min(1.0, cpu * 1.7):.2f},'
            f'"memory_used":{self.memory:.1f},"memory_total":64000000000.0,"disk_used":{self.disk:.1f},'
            f'"disk_total":2000000000000.0,"disk_fullest":{self.disk / 2e12:.4f},"net_received":{net:.1f},'
            f'"net_sent":{net / 3:.1f},"load":{cpu * 8:.2f},"runs":3.0}}'
        )
        push = f'{{"req":"push_samples","rid":{self.seq + 1},"msg":{{"series":"s","samples":[{sample}],"pending":0}}}}'
        self.transport.send(WSMsgType.TEXT, push.encode())


class Load:
    failed = 0

    def __init__(self) -> None:
        self.backends: list[Pusher] = []

    async def open(self, url: str, tokens: list[str]) -> None:
        gate = asyncio.Semaphore(CONCURRENT_DIALS)
        await asyncio.gather(*(self._dial(gate, url, token) for token in tokens))

    async def _dial(self, gate: asyncio.Semaphore, url: str, token: str) -> None:
        async with gate:
            opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            _, backend = await ws_connect(
                lambda: Pusher(token, opened),
                url,
                read_buffer_init_size=1024,
                websocket_handshake_timeout=60,
                extra_headers={"Sec-WebSocket-Protocol": "quix-wsi.1"},
            )
            await opened
            assert isinstance(backend, Pusher)
            self.backends.append(backend)

    async def push(self, interval: float) -> None:
        """Push for ever, each backend once an interval, all of them spread over it."""
        clock = asyncio.get_running_loop().time
        began, count = clock(), 0
        while True:
            for backend in self.backends:
                backend.push()
                count += 1
                if count % 20 == 0:
                    await asyncio.sleep(max(0.0, began + count * interval / len(self.backends) - clock()))


async def load() -> None:
    fleet = Load()
    loop = asyncio.get_running_loop()
    pushing: asyncio.Task[None] | None = None
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        if "open" in command:
            await fleet.open(command["url"], command["open"])
        elif "push" in command:
            pushing = asyncio.create_task(fleet.push(command["push"]))
        if pushing is not None and pushing.done():
            pushing.result()
        print(json.dumps({"failed": Load.failed, "pushed": sum(each.seq for each in fleet.backends)}), flush=True)


async def server(count: int, interval: float) -> None:
    settle_memory()
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        settings = ServerSettings(data_dir=Path(folder), listen=f"127.0.0.1:{port}")
        settings.telemetry.interval = interval
        async with running(settings) as control:
            ids, tokens = await enroll(control.store, settings.database_url, count)
            print(json.dumps({"port": port, "tokens": tokens}), flush=True)
            loop = asyncio.get_running_loop()
            while line := await loop.run_in_executor(None, sys.stdin.readline):
                answer = await _obey(control, ids, json.loads(line)) | {"bytes": _size(Path(folder))}
                print(json.dumps(answer), flush=True)


async def _obey(control: Any, ids: list[str], command: dict[str, Any]) -> dict[str, float]:
    process = psutil.Process()
    if "read" in command:
        took = []
        for backend_id in random.sample(ids, min(len(ids), 50)):
            began = time.perf_counter()
            end = time.time()
            await control.history.read(backend_id, end - command["read"], end, 300)
            took.append(time.perf_counter() - began)
        return {"median": sorted(took)[len(took) // 2], "longest": max(took)}
    if "lag" in command:
        return {"lag": await _lag(command["lag"])}
    if "flush" in command:
        await control.collector.flush()
    if "loads" in command:
        began = time.perf_counter()
        found = [control.collector.load(backend_id, recent=True) for backend_id in ids]
        return {"seconds": time.perf_counter() - began, "found": sum(load is not None for load in found)}
    return {
        "rss": process.memory_info().rss,
        "cpu": time.process_time(),
        "at": time.perf_counter(),
        "written": process.io_counters().write_bytes,
    }


async def _lag(seconds: float) -> float:
    """Return the longest time that the loop did not come round."""
    clock = asyncio.get_running_loop().time
    end, longest = clock() + seconds, 0.0
    while (before := clock()) < end:
        await asyncio.sleep(0.005)
        longest = max(longest, clock() - before - 0.005)
    return longest


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("quix.db*"))


if __name__ == "__main__":
    logs.setup("json", "error")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(load() if sys.argv[1] == "load" else server(int(sys.argv[2]), float(sys.argv[3])))
