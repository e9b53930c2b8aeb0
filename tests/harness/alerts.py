"""A server with alerts, backends that push samples, and what is asked of both."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from harness.api import Agent, Place, place
from harness.receivers import Hook
from quix.server.settings import AlertSettings, EmailSettings
from quix.store.users import Role

GATHER = 0.3


async def until(condition: Callable[[], Any], what: str, seconds: float = 10) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, what
        await asyncio.sleep(0.02)
    return found


async def stays(condition: Callable[[], Any], seconds: float = 1.0) -> None:
    """For longer than a message would wait for others, nothing happens."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition()
        await asyncio.sleep(0.05)


@asynccontextmanager
async def running(folder: Path, **email: Any) -> AsyncIterator[tuple[Place, httpx.AsyncClient]]:
    settings = AlertSettings(gather=GATHER, email=EmailSettings(**email))
    async with place(folder / "server", alerts=settings) as there:
        yield there, await there.login(Role.ADMIN)


class Machine:
    """A backend that pushes samples."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.id = agent.id
        self._seq = 0

    async def push(self, **metrics: float) -> None:
        self._seq += 1
        sample = {"seq": self._seq, "at": round(time.time(), 3), **metrics}
        await self.agent.client.send("push_samples", {"series": "s", "samples": [sample]})


@asynccontextmanager
async def machine(there: Place, name: str) -> AsyncIterator[Machine]:
    async with there.agent(lambda _req, _msg: {"result": "success"}, name, telemetry=1) as agent:
        yield Machine(agent)


async def channel(admin: httpx.AsyncClient, url: str) -> str:
    made = await admin.post("/alerts/channels", json={"name": "ops", "kind": "webhook", "url": url})
    assert made.status_code == 201, made.text
    its_id: str = made.json()["id"]
    return its_id


async def rule(admin: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    chosen = {"name": "busy", "metric": "cpu", "threshold": 90, "clear": 80, "for": 0, "channels": ["ops"], **body}
    made = await admin.post("/alerts/rules", json={key: value for key, value in chosen.items() if value is not None})
    assert made.status_code == 201, made.text
    answer: dict[str, Any] = made.json()
    return answer


AWAY = {"name": "away", "metric": "connection", "threshold": None, "clear": None, "severity": "critical"}


async def alerts(client: httpx.AsyncClient, **params: str) -> list[dict[str, Any]]:
    answer = await client.get("/alerts", params=params)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def firing(there: Place, count: int) -> None:
    async with asyncio.timeout(15):
        while len(await there.control.store.alerts.firing()) != count:
            await asyncio.sleep(0.02)


def told(web: Hook) -> list[tuple[str, int]]:
    return [(body["type"], body["data"]["count"]) for body in web.bodies]
