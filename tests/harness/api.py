"""A whole control server in this process, operators who speak HTTP to it, and backends that answer by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from harness.server import NO_TLS, PASSWORD, Client, Door, door, free_port
from quix.api.door import opened
from quix.server.control import Control
from quix.server.settings import VpnSettings, WireGuardSettings
from quix.store.users import Role

API = "/api/v1"

LOGINS = {Role.ADMIN: "root", Role.OPERATOR: "op", Role.VIEWER: "watch", Role.ENROLLER: "gate"}
"""A user of each role."""

Answer = Callable[[str, Any], Any]
"""Takes the name and the `msg` of a request and returns the `msg` of its answer, or None to stay silent."""


class Agent:
    """A backend that has enrolled; `asked` is what it was asked."""

    def __init__(self, client: Client, answer: Answer) -> None:
        self._answer = answer
        self.client = client
        self.id = ""
        self.token = ""
        self.asked: list[tuple[str, Any]] = []
        self._rid = 0

    async def answer(self, msg: Any) -> None:
        """Answer the last request, where `run` was told to stay silent."""
        await self.client.connection.send(json.dumps({"rid": self._rid, "msg": msg}))

    async def closed(self) -> tuple[int, str]:
        """Wait until the server has closed the connection; return its code and reason."""
        async with asyncio.timeout(10):
            await self.client.connection.wait_closed()
        protocol = self.client.connection.protocol
        assert protocol.close_code is not None
        return protocol.close_code, protocol.close_reason or ""

    async def run(self) -> None:
        async for text in self.client.connection:
            message = json.loads(text)
            if "req" not in message:
                continue
            self._rid = message["rid"]
            self.asked.append((message["req"], message["msg"]))
            msg = self._answer(message["req"], message["msg"])
            if msg is not None:
                await self.answer(msg)


class Place:
    """A server with both doors open."""

    def __init__(self, here: Door, url: str, stack: AsyncExitStack) -> None:
        self._door = here
        self._stack = stack
        self._open = AsyncExitStack()
        self.url = url
        self.control: Control = here.control
        self.web = httpx.AsyncClient(base_url=url, timeout=20, verify=NO_TLS)

    async def open(self) -> None:
        await self._open.enter_async_context(opened(self.control))

    async def close(self) -> None:
        """Close the operators' door, while agents stay."""
        await self._open.aclose()

    async def login(self, role: Role) -> httpx.AsyncClient:
        """Return a client that is logged in as the user of a role."""
        answer = await self.web.post(f"{API}/login", json={"username": LOGINS[role], "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return await self.bearer(answer.json()["token"])

    async def bearer(self, token: str) -> httpx.AsyncClient:
        """Return a client of the API that shows a token."""
        headers = {"Authorization": f"Bearer {token}"}
        return await self._stack.enter_async_context(
            httpx.AsyncClient(base_url=self.url + API, headers=headers, timeout=20, verify=NO_TLS)
        )

    @asynccontextmanager
    async def seed_client(self) -> AsyncIterator[Client]:
        """Dial in as a backend that speaks the seed and nothing else."""
        async with self._door.client() as client:
            yield client

    @asynccontextmanager
    async def agent(self, answer: Answer, name: str = "", **extensions: int) -> AsyncIterator[Agent]:
        """Enrol a backend and have it answer for as long as the block lasts; with a `name` it tells facts, and speaks
        these `extensions` too."""
        async with self._door.client(extend=bool(name)) as client:
            agent = Agent(client, answer)
            known = {session.backend_id for session in self.control.fleet}
            offer: dict[str, Any] = {"extensions": {"agent": 1, **extensions}} if name else {}
            agent.token = (await client.enroll(**offer))["token"]
            (agent.id,) = {session.backend_id for session in self.control.fleet} - known
            if name:
                assert (await client.ask("agent_facts", facts(name)))["result"] == "success"
            running = asyncio.create_task(agent.run())
            try:
                yield agent
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)


def facts(name: str) -> dict[str, Any]:
    return {
        "name": name, "hostname": name, "os": "Debian", "kernel": "6.12", "arch": "x86_64",
        "agent_version": "0.1.0", "boot_id": "b", "labels": {"site": "north"},
    }  # fmt: skip


@asynccontextmanager
async def place(data_dir: Path, **settings: Any) -> AsyncIterator[Place]:
    """Run a server with a user of each role, and WireGuard unless `vpn` says otherwise; again on the same data, too."""
    http = f"127.0.0.1:{free_port()}"
    vpn = VpnSettings(wireguard=WireGuardSettings(enabled=True, endpoint="vpn.example:51820", device="none"))
    chosen = {"http": http, "vpn": vpn, **settings}
    users = {name: role for role, name in LOGINS.items()}
    async with door(data_dir, users, **chosen) as here, AsyncExitStack() as stack:
        there = Place(here, f"http://{chosen['http']}", stack)
        await there.open()
        stack.push_async_callback(there.close)
        await stack.enter_async_context(there.web)
        yield there


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Return the status and the reason of an error, which has exactly the shape that errors have."""
    body = answer.json()
    assert set(body) == {"reason", "detail"}, body
    assert body["detail"]
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, body["reason"]
