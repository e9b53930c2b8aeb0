"""A listener whose connections answer a few requests, and what it takes to dial it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from quix.link.clock import Clock
from quix.link.connection import Connection
from quix.link.dialler import dial
from quix.link.router import Router
from quix.link.side import Side
from quix.wire.messages import Execute, Executed, TeleData, Telemetry, TelemetryAnswer, ViewRunning
from quix.wire.peer import Limits
from quix.wire.reasons import Reason, Refusal

LIMITS = Limits(message_bytes=10_000)


class End:
    """One end of a connection: what it saw of its life."""

    connection: Connection[End]

    def __init__(self, *, accepted: bool) -> None:
        self._accepted = accepted
        self.over: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    def connected(self, connection: Connection[End]) -> None:
        self.connection = connection
        if self._accepted:
            connection.peer.accept("token")

    def ended(self, code: int, reason: str) -> None:
        self.over.set_result((int(code), reason))

    async def end(self) -> tuple[int, str]:
        async with asyncio.timeout(10):
            return await self.over


class Place:
    """A listener on a free port of loopback. `accepted`: its connections count as authenticated at once."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.side = Side(self.router(), self.clock, LIMITS)
        self.ends: list[End] = []
        self.dialled: list[End] = []
        self.accepted = True
        self.hold = asyncio.Event()
        self.url = ""

    def make(self, may_extend: bool) -> Connection[End]:
        end = End(accepted=self.accepted)
        self.ends.append(end)
        self.may_extend = may_extend
        return Connection(end, self.side)

    def router(self) -> Router[End]:
        router: Router[End] = Router()
        router.add(Execute, self._execute)
        router.add(Telemetry, self._telemetry)
        router.add(ViewRunning, self._view_running)
        return router

    async def _execute(self, _end: End, request: Execute) -> Executed:
        await self.hold.wait()
        if request.cmd[0] == "missing":
            raise Refusal(Reason.COMMAND_NOT_FOUND)
        return Executed(len(request.cmd))

    def _telemetry(self, _end: End, request: Telemetry) -> TelemetryAnswer:
        return TelemetryAnswer(TeleData(ttl_cpu_usage=[0.5] * len(request.stat_types)))

    def _view_running(self, _end: End, request: ViewRunning) -> Awaitable[Any]:
        raise RuntimeError(f"a fault of ours, {request.verb}")

    async def dial(self) -> End:
        """Connect with Quix's own dialler; return that end once both are connected."""
        end = End(accepted=True)
        self.dialled.append(end)
        await dial(
            self.url,
            lambda _agreed: Connection(end, self.side),
            max_message=LIMITS.message_bytes,
            tls=None,
            offer_extensions=True,
        )
        return end

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)

    async def leave(self) -> None:
        """Cut every connection, and wait until the sockets are gone."""
        self.hold.set()
        connections = [end.connection for end in self.ends + self.dialled if hasattr(end, "connection")]
        for connection in connections:
            connection.abort("the test is over")
        await self.until(lambda: all(connection._transport is None for connection in connections))
        self.clock.stop()
