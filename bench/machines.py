"""What a backend costs: starting programs, and an agent that has nothing to do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from bench.servers import free_port
from quix.supervisor.client import SupervisorClient
from quix.supervisor.settings import SupervisorSettings

PROGRAM = "/bin/true"


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder that programs under a uid of their own can find their way into."""
    with tempfile.TemporaryDirectory(prefix="quix-bench-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


async def executes(count: int) -> tuple[list[float], list[float]]:
    """Return the seconds of each start, sandboxed through the supervisor and bare by posix_spawn, in turn."""
    sandboxed, bare = [], []
    with folder() as data_dir:
        supervisor = await SupervisorClient.start_or_find(SupervisorSettings(data_dir=data_dir))
        try:
            for _ in range(count):
                began = time.perf_counter()
                await supervisor.spawn([PROGRAM])
                sandboxed.append(time.perf_counter() - began)
                bare.append(_bare())
        finally:
            await supervisor.end()
            await supervisor.close()
    return sandboxed, bare


def _bare() -> float:
    began = time.perf_counter()
    pid = os.posix_spawn(PROGRAM, [PROGRAM], {})
    took = time.perf_counter() - began
    os.waitpid(pid, 0)
    return took


def idle_agent(seconds: float) -> tuple[int, int, float]:
    """Return resident and unshared bytes of a connected agent, and the share of one core it takes when idle."""
    with folder() as place:
        quix = [sys.executable, "-m", "quix"]
        listen, http = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        password, data = place / "password", place / "server"
        password.write_text("a password of the bench")
        add = ["user", "add", "gate", "--role", "enroller", "--password-stdin", "--data-dir", str(data)]
        subprocess.run([*quix, *add], input=password.read_text(), text=True, check=True)
        server = ["server", "--data-dir", str(data), "--listen", listen, "--http", http, "--log-level", "error"]
        agent = ["agent", "--server", f"ws://{listen}/wsi", "--data-dir", str(place / "agent"), "--username", "gate"]
        agent += ["--password-file", str(password), "--log-level", "error"]
        with contextlib.ExitStack() as stack:
            _run(stack, [*quix, *server])
            measured = _run(stack, [*quix, *agent])
            token = place / "agent" / "agent" / "token.json"
            while not token.exists():
                time.sleep(0.1)
            time.sleep(3)
            before = sum(measured.cpu_times()[:2])
            time.sleep(seconds)
            share = (sum(measured.cpu_times()[:2]) - before) / seconds
            memory = measured.memory_full_info()
        asyncio.run(_end(place / "agent"))
        return memory.rss, memory.uss, share


def _run(stack: contextlib.ExitStack, command: list[str]) -> psutil.Process:
    process = subprocess.Popen(command)
    stack.callback(process.wait, 20)
    stack.callback(process.terminate)
    return psutil.Process(process.pid)


async def _end(data_dir: Path) -> None:
    supervisor = await SupervisorClient.start_or_find(SupervisorSettings(data_dir=data_dir))
    await supervisor.end()
    await supervisor.close()
