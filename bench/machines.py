"""What a backend costs: starting programs, and an agent that has nothing to do."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil

from bench.servers import free_port
from quix.supervisor.client import SupervisorClient
from quix.supervisor.layout import Layout
from quix.supervisor.sandbox import Sandbox
from quix.supervisor.settings import SupervisorSettings
from quix.supervisor.spawn import Plan, Streams, spawn
from quix.wire.runs import RunOptions

PROGRAM = "/bin/true"


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder that programs under a uid of their own can find their way into."""
    with tempfile.TemporaryDirectory(prefix="quix-bench-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def executes(count: int) -> dict[str, list[float]]:
    """Return the seconds from each start to the end of the program, in the sandbox and bare, in turn."""
    took: dict[str, list[float]] = {"sandboxed": [], "posix_spawn": []}
    with folder() as data_dir:
        settings = SupervisorSettings(data_dir=data_dir)
        sandbox, layout = Sandbox(settings), Layout(data_dir)
        layout.prepare(sandbox.account)
        null = os.open("/dev/null", os.O_RDWR)
        plan = Plan(
            executable=PROGRAM.encode(),
            argv=[PROGRAM.encode()],
            env={},
            folder=str(layout.data),
            streams=Streams(null, null, null),
        )
        gc.collect()
        gc.freeze()  # as the supervisor does
        for _ in range(count):
            took["sandboxed"].append(_to_the_end(lambda: spawn(plan, sandbox)))
            took["posix_spawn"].append(_to_the_end(lambda: os.posix_spawn(PROGRAM, [PROGRAM], {})))
        os.chdir("/")
        os.close(null)
    return took


def _to_the_end(start: Callable[[], int]) -> float:
    began = time.perf_counter()
    os.waitpid(start(), 0)
    return time.perf_counter() - began


async def runs(count: int) -> list[float]:
    """Return the seconds until each run is on the disk, started, and answered for."""
    took = []
    with folder() as data_dir:
        async with _supervised(data_dir) as supervisor:
            for number in range(count):
                began = time.perf_counter()
                await supervisor.spawn([PROGRAM], RunOptions(), f"run-{number}")
                took.append(time.perf_counter() - began)
    return took


async def outputs(size: int) -> dict[str, float]:
    """Return the seconds that a program takes to write so many bytes: as a run, and through `cat` into a file."""
    took = {}
    with folder() as data_dir:
        async with _supervised(data_dir) as supervisor:
            ended = asyncio.Event()
            supervisor.told = lambda state: ended.set() if state.state == "ended" else None
            began = time.perf_counter()
            await supervisor.spawn(["head", "-c", str(size), "/dev/zero"], RunOptions(), "output")
            await ended.wait()
            took["run"] = time.perf_counter() - began
        began = time.perf_counter()
        pipe = f"head -c {size} /dev/zero | cat > {data_dir}/bare"
        await (await asyncio.create_subprocess_exec("sh", "-c", pipe)).wait()
        took["cat"] = time.perf_counter() - began
    return took


async def crowd(count: int) -> dict[str, int]:
    """Return the unshared bytes of a supervisor without programs, and with so many of them asleep."""
    found = {}
    with folder() as data_dir:
        async with _supervised(data_dir) as supervisor:
            found["none"] = psutil.Process(supervisor.pid).memory_full_info().uss
            for number in range(count):
                await supervisor.spawn(["sleep", "1000"], RunOptions(), f"sleeper-{number}")
            found[str(count)] = psutil.Process(supervisor.pid).memory_full_info().uss
    return found


@contextlib.asynccontextmanager
async def _supervised(data_dir: Path) -> AsyncIterator[SupervisorClient]:
    supervisor = await SupervisorClient.start_or_find(SupervisorSettings(data_dir=data_dir))
    try:
        yield supervisor
    finally:
        await supervisor.end()
        await supervisor.close()


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
    async with _supervised(data_dir):
        pass
