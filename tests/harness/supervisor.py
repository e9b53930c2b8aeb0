"""Data folders that programs can walk to, real supervisors in them, and an end for everything that was started."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from quix.supervisor import proc
from quix.supervisor.client import SupervisorClient
from quix.supervisor.layout import Layout
from quix.supervisor.run import Run
from quix.supervisor.settings import SandboxMode, SupervisorSettings
from quix.wire.reasons import Refusal

PYTHON = "/usr/bin/python3"
"""The system's Python: the one that runs the tests may live where programs may not look."""


@contextlib.contextmanager
def walkable_folder() -> Iterator[Path]:
    """A data folder that the programs' account can walk to, which pytest's own temporary folders are not."""
    folder = Path(tempfile.mkdtemp(prefix="quix-test-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


async def until(condition: Callable[[], object], seconds: float = 10, what: str = "") -> None:
    """Wait for a condition; fail where it does not come true in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what or condition}"
        await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process runs, zombies left out."""
    found = proc.stat(pid)
    return found is not None and not found.is_dead


def _goes_on(record: Path) -> bool:
    """Whether a run has not ended, by the supervisor's file of it."""
    try:
        return bool(json.loads(record.read_bytes())["ended"] is None)
    except FileNotFoundError:
        return False


class House:
    """One data folder, its supervisors and their clients."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.layout = Layout(folder)
        self.clients: list[SupervisorClient] = []
        self._used: SupervisorSettings | None = None

    def settings(self, sandbox: SandboxMode = "landlock", **others: object) -> SupervisorSettings:
        return SupervisorSettings(data_dir=self.folder, sandbox=sandbox, **others)  # type: ignore[arg-type]

    async def client(self, sandbox: SandboxMode = "landlock", **others: object) -> SupervisorClient:
        """Find or start the folder's supervisor. Where that fails, there is nothing to end."""
        settings = self.settings(sandbox, **others)
        client = await SupervisorClient.start_or_find(settings)
        self._used = settings
        self.clients.append(client)
        return client

    def path(self, name: str) -> Path:
        """A file of the programs' folder."""
        return self.layout.data / name

    def log(self) -> str:
        """What the folder's supervisors have said."""
        return self.layout.log.read_text(errors="replace") if self.layout.log.exists() else ""

    async def written(self, name: str) -> str:
        """Wait until a program has written a whole line to a file; return the file's text."""
        path = self.path(name)
        await until(lambda: path.exists() and path.read_text().endswith("\n"), what=f"{name} is written")
        return path.read_text()

    async def run(self, client: SupervisorClient, script: str, *arguments: str) -> Run:
        """Start a Python program."""
        return await client.spawn([PYTHON, "-c", script, *arguments])

    async def end(self) -> None:
        """End all programs, and the supervisor."""
        if self._used is None:
            return
        client = await SupervisorClient.start_or_find(self._used)
        for run in await client.runs():
            with contextlib.suppress(Refusal):
                await client.signal(run.pid, "SIGKILL")
        for state in await client.states():
            if state.state == "waiting":
                await client.signal(0, "SIGKILL", state.run)
        # Whoever ends a supervisor earlier leaves control groups behind.
        await until(lambda: not any(map(_goes_on, self.layout.runs.glob("*.json"))), 15, "all ends are recorded")
        for each in (client, *self.clients):
            await each.close()
        self.clients.clear()
        self._used = None
        os.kill(client.pid, signal.SIGTERM)
        await until(lambda: not is_alive(client.pid), what="the supervisor ends")


@contextlib.asynccontextmanager
async def a_house() -> AsyncIterator[House]:
    """A house that is empty at the end."""
    with walkable_folder() as folder:
        house = House(folder)
        try:
            yield house
        finally:
            await house.end()
