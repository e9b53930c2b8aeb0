"""A reader of `GET /events` that keeps what it has read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx


class Watch:
    """Events as they arrive; `last` is the id of the last, also of those that are not shown."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()
        self.last = ""

    async def next(self) -> dict[str, Any]:
        """Return the next event."""
        async with asyncio.timeout(15):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if name == "id":
                    self.last = value
                elif name == "data":
                    event: dict[str, Any] = json.loads(value)
                    assert str(event["id"]) == self.last
                    return event
        raise AssertionError("the stream has ended")

    async def until(self, kind: str) -> list[dict[str, Any]]:
        """Return the events up to the next of a kind."""
        found = [await self.next()]
        while found[-1]["kind"] != kind:
            found.append(await self.next())
        return found

    async def ended(self) -> None:
        """Wait until the server ends the stream."""
        async with asyncio.timeout(15):
            async for line in self._lines:
                assert not line.startswith("data"), line


@asynccontextmanager
async def watching(client: httpx.AsyncClient, last: str = "", **params: str) -> AsyncIterator[Watch]:
    """Follow the events for as long as the block lasts."""
    headers = {"Last-Event-ID": last} if last else {}
    async with client.stream("GET", "/events", params=params, headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        watch = Watch(response)
        async with asyncio.timeout(15):
            async for line in watch._lines:
                if line.startswith("id: "):
                    watch.last = line.removeprefix("id: ")
                    break
        yield watch
