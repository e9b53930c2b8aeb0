"""The load: many simulated backends in one process of its own, as cheap as picows allows.

Spoken to by lines of JSON on standard input, one answer a line. Commands:
    {"open": N, "url": URL, "tokens": [..] | null}  connect N, authenticate where there are tokens
    {"close": true}                                 close all
Every request that comes in is answered with one constant telemetry answer under its own rid.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

ANSWER = (
    b',"msg":{"tele_data":{"ttl_cpu_usage":[0.1,0.11,0.02,0.01],"ttl_mem_usage":[128,1000,412],'
    b'"disk_util":{"/dev/sda":[195739194,8185749375],"/dev/sdb":[185844831,8187395730]}}}}'
)
CONCURRENT_DIALS = 256


class Backend(WSListener):
    def __init__(self, token: str | None, opened: asyncio.Future[None]) -> None:
        self.token = token
        self.opened = opened

    def on_ws_connected(self, transport: WSTransport) -> None:
        if self.token is None:
            self.opened.set_result(None)
            return
        hello = f'{{"auth":"{self.token}","req":"authenticate","rid":1,"msg":{{}}}}'
        transport.send(WSMsgType.TEXT, hello.encode())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.TEXT:
            return
        data = frame.get_payload_as_bytes()
        if not self.opened.done():
            if b'"success":true' in data:
                self.opened.set_result(None)
            else:
                self.opened.set_exception(RuntimeError(data.decode()))
            return
        start = data.index(b'"rid":') + 6
        rid = data[start : data.index(b",", start)]
        transport.send(WSMsgType.TEXT, b'{"rid":' + rid + ANSWER)


class Load:
    def __init__(self) -> None:
        self.transports: list[WSTransport] = []

    async def open(self, count: int, url: str, tokens: list[str] | None) -> dict[str, Any]:
        gate = asyncio.Semaphore(CONCURRENT_DIALS)
        began = time.perf_counter()
        await asyncio.gather(*(self._dial(gate, url, tokens[i] if tokens else None) for i in range(count)))
        return {"seconds": time.perf_counter() - began}

    async def _dial(self, gate: asyncio.Semaphore, url: str, token: str | None) -> None:
        async with gate:
            opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            transport, _ = await ws_connect(
                lambda: Backend(token, opened), url, read_buffer_init_size=1024, websocket_handshake_timeout=60
            )
            self.transports.append(transport)
            await opened

    def close(self) -> dict[str, Any]:
        for transport in self.transports:
            transport.disconnect(graceful=False)
        self.transports.clear()
        return {}


async def main() -> None:
    load = Load()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        if "open" in command:
            answer = await load.open(command["open"], command["url"], command["tokens"])
        else:
            answer = load.close()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
