"""Runs with a key, as an agent sees them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import msgspec

from harness.supervisor import House, is_alive, until
from quix.supervisor.client import SupervisorClient
from quix.supervisor.protocol import Read, Written
from quix.wire.runs import RunState

END = 2**53
"""An offset at which no output ever is."""


async def written(
    client: SupervisorClient,
    run: str,
    stdout: int = 0,
    stderr: int = 0,
    *,
    limit: int = 2**19,
    wait: float = 0,
    acknowledge: bool = False,
) -> Written:
    """Read once."""
    answer = await client.read(Read(run, stdout, stderr, limit, wait, acknowledge))
    return msgspec.json.decode(answer, type=Written)


async def ended(client: SupervisorClient, run: str, seconds: float = 20) -> RunState:
    """Wait for a run's end."""
    deadline = time.monotonic() + seconds
    while (state := (await written(client, run, END, END, wait=1)).state).state != "ended":
        assert time.monotonic() < deadline, f"{run} does not end within {seconds} s: {state}"
        await asyncio.sleep(0.005)  # a run that writes answers at once
    return state


class Reader:
    """Reads both streams of a run from their beginning, as far as there is something.

    Attributes:
        stdout, stderr: what came so far.
        gaps: how many bytes were not kept.
    """

    def __init__(self, run: str, *, acknowledge: bool = False, limit: int = 2**19) -> None:
        self.run = run
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.gaps = 0
        self._offsets = {"stdout": 0, "stderr": 0}
        self._acknowledge = acknowledge
        self._limit = limit

    async def once(self, client: SupervisorClient, wait: float = 0) -> Written:
        """Read once; each chunk must begin where the last ended, or later where bytes were let go of."""
        told = await written(
            client,
            self.run,
            self._offsets["stdout"],
            self._offsets["stderr"],
            limit=self._limit,
            wait=wait,
            acknowledge=self._acknowledge,
        )
        assert sum(len(chunk.data) for chunk in told.chunks) <= self._limit
        for chunk in told.chunks:
            assert chunk.offset >= self._offsets[chunk.stream]
            self.gaps += chunk.offset - self._offsets[chunk.stream]
            getattr(self, chunk.stream).extend(chunk.data)
            self._offsets[chunk.stream] = chunk.offset + len(chunk.data)
        return told

    async def to_the_end(self, client: SupervisorClient, seconds: float = 30) -> RunState:
        """Read until the run has ended and all was read."""
        deadline = time.monotonic() + seconds
        while True:
            told = await self.once(client, wait=1)
            if told.state.state == "ended" and not told.chunks:
                return told.state
            assert time.monotonic() < deadline, f"{self.run} does not end within {seconds} s: {told.state}"


async def gone(client: SupervisorClient, number: signal.Signals = signal.SIGKILL) -> None:
    """End a client's supervisor where nobody starts another."""
    await client.close()
    os.kill(client.pid, number)
    await until(lambda: not is_alive(client.pid))


async def succeeded(
    house: House, client: SupervisorClient, number: signal.Signals = signal.SIGKILL
) -> SupervisorClient:
    """End a client's supervisor; return a client of the next one. That takes less than `replace`, which waits before a
    second start."""
    await gone(client, number)
    return await house.client()


async def replace(client: SupervisorClient, number: signal.Signals = signal.SIGKILL) -> None:
    """End a client's supervisor, and wait until the client has another."""
    pid = client.pid
    os.kill(pid, number)
    await until(lambda: client.pid != pid, what="there is another supervisor")


def descriptors(pid: int) -> int:
    """How many descriptors a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def resident(pid: int) -> int:
    """Bytes of memory that a process has of its own, which it shares with no file (proc(5), RssAnon)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))
