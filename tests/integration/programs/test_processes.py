"""The rows of view_running, of real programs: what they use, which ports they hold, what they call themselves."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from harness.supervisor import PYTHON, House, until
from quix.agent.processes import SHORTEST, ProcessMeter, fitting
from quix.supervisor import proc, tree
from quix.supervisor.client import SupervisorClient
from quix.supervisor.run import Run
from quix.wire.messages import Process
from quix.wire.runs import RunOptions


@pytest.fixture
async def client(house: House) -> SupervisorClient:
    return await house.client()


@pytest.fixture
def meter() -> ProcessMeter:
    return ProcessMeter(2**20)


async def row_of(meter: ProcessMeter, client: SupervisorClient, run: Run) -> Process:
    (row,) = [row for row in await meter.rows(await client.runs(), 1) if row.pid == run.pid]
    return row


READY = "import time; open('ready', 'w').write('yes\\n'); time.sleep(1000)"
BUSY = "\nwhile True: pass"
SERVE = "import socket, time; s = socket.create_server(('127.0.0.1', 0))"


# -- CPU -----------------------------------------------------------------------------------------


async def test_the_first_look_waits_and_the_next_does_not(meter: ProcessMeter, client: SupervisorClient) -> None:
    begin = time.monotonic()
    await meter.rows([], 1)
    assert SHORTEST <= time.monotonic() - begin < 1
    later = []
    for _ in range(3):
        await asyncio.sleep(SHORTEST)
        begin = time.monotonic()
        await meter.rows([], 1)
        later.append(time.monotonic() - begin)
    assert min(later) < SHORTEST


async def test_a_busy_program_and_an_idle_one(house: House, meter: ProcessMeter, client: SupervisorClient) -> None:
    idle = await client.spawn(["sleep", "1000"])
    busy = await house.run(client, BUSY)
    await meter.rows(await client.runs(), 1)
    await asyncio.sleep(0.5)
    assert (await row_of(meter, client, busy)).cpu_util > 20  # the machine may be busy with other things, too
    await asyncio.sleep(SHORTEST)
    assert (await row_of(meter, client, idle)).cpu_util == 0


async def test_the_figure_is_of_the_time_since_the_last_look(
    house: House, meter: ProcessMeter, client: SupervisorClient
) -> None:
    run = await house.run(
        client, "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass\n" + READY
    )
    await house.written("ready")
    assert (await row_of(meter, client, run)).cpu_util < 60, "it is idle now, however busy it was"
    await asyncio.sleep(SHORTEST)
    assert (await row_of(meter, client, run)).cpu_util == 0


async def test_a_program_that_started_after_the_last_look(
    house: House, meter: ProcessMeter, client: SupervisorClient
) -> None:
    await meter.rows([], 1)
    await asyncio.sleep(2 * SHORTEST)
    run = await house.run(client, BUSY)
    await asyncio.sleep(0.5)
    assert 20 < (await row_of(meter, client, run)).cpu_util < 120, "of its own life, not of the whole time"


async def test_children_count_also_those_that_came_and_went(
    house: House, meter: ProcessMeter, client: SupervisorClient
) -> None:
    script = "import subprocess\nwhile True: subprocess.run(['python3', '-S', '-c', 'for _ in range(10**6): pass'])"
    run = await house.run(client, script)
    await meter.rows(await client.runs(), 1)
    await asyncio.sleep(1)
    assert (await row_of(meter, client, run)).cpu_util > 20


def used_by(pids: list[int]) -> tuple[float, float]:
    """The time, and the CPU seconds that processes have used."""
    ticks = sum(found.user_system for pid in pids if (found := proc.stat(pid)) is not None)
    return time.monotonic(), ticks / os.sysconf("SC_CLK_TCK")


async def test_the_figure_is_the_sum_over_the_tree_in_percent_of_one_core(
    house: House, meter: ProcessMeter, client: SupervisorClient
) -> None:
    run = await house.run(client, f"import os\nos.fork(){BUSY}")
    await until(lambda: len(tree.members(run, proc.table())) == 2)
    pids = [entry.pid for entry in tree.members(run, proc.table())]
    runs = await client.runs()
    await meter.rows(runs, 1)
    await asyncio.sleep(SHORTEST)
    outer_begin = used_by(pids)
    await meter.rows(runs, 1)
    inner_begin = used_by(pids)
    await asyncio.sleep(1)
    inner_end = used_by(pids)
    (row,) = await meter.rows(runs, 1)
    outer_end = used_by(pids)
    least = (inner_end[1] - inner_begin[1]) / (outer_end[0] - outer_begin[0])
    most = (outer_end[1] - outer_begin[1]) / (inner_end[0] - inner_begin[0])
    assert 100 * least - 5 <= row.cpu_util <= 100 * most + 5


# -- memory --------------------------------------------------------------------------------------


async def test_memory_is_that_of_the_tree_in_megabytes(
    house: House, meter: ProcessMeter, client: SupervisorClient
) -> None:
    run = await house.run(
        client,
        f"import os\nif os.fork():\n hold = b'x' * 50_000_000\n os.wait()\nelse:\n hold = b'x' * 80_000_000\n {READY}",
    )
    await house.written("ready")
    row = await row_of(meter, client, run)
    assert 130 <= row.mem_util < 170
    assert row.mem_util == int(row.mem_util)


# -- ports ---------------------------------------------------------------------------------------

SOCKETS = """
import json, os, socket, time
def bound(family, kind, listen):
    s = socket.socket(family, kind)
    s.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    if listen: s.listen()
    return s
made = [
    bound(socket.AF_INET, socket.SOCK_STREAM, True), bound(socket.AF_INET6, socket.SOCK_STREAM, True),
    bound(socket.AF_INET, socket.SOCK_DGRAM, False), bound(socket.AF_INET6, socket.SOCK_DGRAM, False),
]
idle = bound(socket.AF_INET, socket.SOCK_STREAM, False)
client = socket.create_connection(made[0].getsockname()[:2])
accepted, _ = made[0].accept()
both = os.fork()
if both == 0:
    for s in made: s.close()
    made = [bound(socket.AF_INET, socket.SOCK_STREAM, True)]
    with open("child", "w") as f: f.write(json.dumps([s.getsockname()[1] for s in made]) + "\\n")
    time.sleep(1000)
with open("own", "w") as f: f.write(json.dumps([s.getsockname()[1] for s in made]) + "\\n")
time.sleep(1000)
"""


async def test_ports_that_listen_or_are_bound_of_the_whole_tree(
    house: House, meter: ProcessMeter, client: SupervisorClient
) -> None:
    run = await house.run(client, SOCKETS)
    expected = [*eval(await house.written("own")), *eval(await house.written("child"))]
    row = await row_of(meter, client, run)
    assert row.port_util == sorted(expected), "neither a socket that only connects nor one that only has an address"


async def test_ports_of_a_daemon_that_left(house: House, meter: ProcessMeter, client: SupervisorClient) -> None:
    listen = f"{SERVE}\nopen('port', 'w').write(f'{{s.getsockname()[1]}}\\n'); time.sleep(1000)"
    start = f"subprocess.run(['setsid', '-f', sys.executable, '-c', {listen!r}])"
    run = await house.run(client, f"import subprocess, sys, time; {start}; time.sleep(1000)")
    port = int(await house.written("port"))
    assert (await row_of(meter, client, run)).port_util == [port]


# -- names ---------------------------------------------------------------------------------------


async def test_the_title_given_at_the_start_comes_first(meter: ProcessMeter, client: SupervisorClient) -> None:
    run = await client.spawn(["sleep", "1000"], RunOptions(title="Test Server v0.1"))
    assert (await row_of(meter, client, run)).title == "Test Server v0.1"


SET_NAME = "import ctypes; ctypes.CDLL(None).prctl(15, b'Test Server', 0, 0, 0)\n"


@pytest.mark.parametrize(
    ("cmd", "title"),
    [
        (["python3", "-c", READY], "python3"),
        (["python3", "-c", SET_NAME + READY], "Test Server"),
        (
            ["perl", "-e", "$0 = 'Test Server v0.1'; open(F, '>', 'ready'); print F \"yes\\n\"; close F; sleep 1000"],
            "Test Server v0.1",
        ),
        (["bash", "-c", "echo yes > ready; exec -a 'Test Server v0.1' sleep 1000"], "Test Server v0.1"),
        (["sh", "-c", "echo yes > ready; exec sleep 1000"], "sleep"),
        (["sh", "-c", "echo yes > ready; exec /usr/bin/tail -f /dev/null"], "tail"),
        (["./server.py", "an argument"], "server.py"),
        (["sh", "-c", "exec ./server.py 'an argument'"], "server.py"),
    ],
    ids=["plain", "prctl", "perl", "exec -a", "exec", "exec with a path", "script", "exec of a script"],
)
async def test_what_a_program_calls_itself(
    house: House, meter: ProcessMeter, client: SupervisorClient, cmd: list[str], title: str
) -> None:
    house.path("server.py").write_text(f"#!/usr/bin/python3\n{READY}\n")
    house.path("server.py").chmod(0o755)
    run = await client.spawn(cmd)
    await house.written("ready")
    rows: list[Process] = []

    async def has_title() -> bool:
        rows[:] = [await row_of(meter, client, run)]
        return rows[0].title == title

    for _ in range(20):  # the exec comes a moment after the file
        if await has_title():
            break
    assert rows[0].title == title


async def test_the_command_is_shown_as_a_shell_reads_it(meter: ProcessMeter, client: SupervisorClient) -> None:
    run = await client.spawn(["sh", "-c", "sleep 1000; :", "a b", "it's", "", "ü"])
    assert (await row_of(meter, client, run)).reqc == "sh -c 'sleep 1000; :' 'a b' 'it'\"'\"'s' '' 'ü'"


# -- all processes -------------------------------------------------------------------------------


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    script = f"{SERVE}\nprint(s.getsockname()[1], flush=True); time.sleep(1000)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("verb", [1, 2])
async def test_long_commands_are_shortened_and_all_rows_are_there(
    meter: ProcessMeter, client: SupervisorClient, verb: int
) -> None:
    runs = [
        await client.spawn([PYTHON, "-c", "import time; time.sleep(1000)", *(["x" * 100_000] * 9)]) for _ in range(3)
    ]
    runs += [await client.spawn(["bash", "-c", f"exec -a {'y' * 100_000} sleep 1000"])]
    rows = await meter.rows(await client.runs(), verb)
    found = {row.pid: row for row in rows}
    assert {run.pid for run in runs} <= found.keys()
    assert max(len(row.reqc) for row in rows) <= 4096
    assert max(len(row.title) for row in rows) <= 256
    assert found[runs[0].pid].reqc.endswith("x…")


def test_rows_that_have_no_room_lose_their_commands_first_and_then_themselves() -> None:
    rows = [Process(title="t", pid=pid, cpu_util=0, mem_util=0, reqc="c" * 4000, port_util=[]) for pid in range(1000)]
    fits = fitting(rows, 2**20)
    assert [row.pid for row in fits] == list(range(1000))
    assert {len(row.reqc) for row in fits} == {512}
    few = fitting(rows, 20_000)
    assert [row.pid for row in few] == list(range(len(few)))
    assert len(msgspec.json.encode(few)) <= 20_000
    assert 100 < len(few) < 200


async def test_verb_2_shows_every_process(
    house: House, meter: ProcessMeter, client: SupervisorClient, stranger: subprocess.Popen[bytes]
) -> None:
    assert stranger.stdout is not None
    port = int(stranger.stdout.readline())
    run = await house.run(client, f"import os\nos.fork()\n{READY}")
    await house.written("ready")
    rows = {row.pid: row for row in await meter.rows(await client.runs(), 2)}
    assert rows[stranger.pid].port_util == [port]
    assert rows[stranger.pid].title == "python"
    assert rows[stranger.pid].reqc.startswith(f"{sys.executable} -c 'import socket")
    assert rows[os.getpid()].mem_util > 10
    assert {1, client.pid, run.pid} <= rows.keys()
    children = [pid for pid, entry in proc.table().items() if entry.ppid == run.pid]
    assert len(children) == 1
    assert rows[children[0]].mem_util <= rows[run.pid].mem_util, (
        "a program's row counts its descendants, a child's does not"
    )
    assert [row.pid for row in await meter.rows(await client.runs(), 1)] == [run.pid]
    assert [row.pid for row in await meter.rows(await client.runs(), 0)] == [run.pid]


async def test_kernel_threads_and_zombies_have_rows(meter: ProcessMeter) -> None:
    with subprocess.Popen(["true"]) as process:
        await until(lambda: (found := proc.stat(process.pid)) is not None and found.is_dead)
        rows = {row.pid: row for row in await meter.rows([], 2)}
        assert (rows[process.pid].reqc, rows[process.pid].mem_util) == ("[true]", 0)
    if Path("/proc/2").exists():
        assert rows[2].reqc == "[kthreadd]"


async def test_processes_that_vanish_midway_do_no_harm(meter: ProcessMeter, client: SupervisorClient) -> None:
    await client.spawn(["sh", "-c", "while :; do for i in 1 2 3 4 5; do /bin/true & done; wait; done"])
    for _ in range(60):
        assert await meter.rows(await client.runs(), 2)


async def test_the_loop_goes_on_meanwhile(meter: ProcessMeter, client: SupervisorClient) -> None:
    for _ in range(100):
        await client.spawn(["sleep", "1000"])
    runs = await client.runs()
    await meter.rows(runs, 2)
    worst, looking = 0.0, True

    async def watch() -> None:
        nonlocal worst
        while looking:
            # In CPU time, of which others on this machine take none.
            last = time.thread_time()
            await asyncio.sleep(0.001)
            worst = max(worst, time.thread_time() - last)

    watcher = asyncio.create_task(watch())
    begin = time.process_time()
    for _ in range(5):
        assert len(await meter.rows(runs, 1)) == 100
    took = (time.process_time() - begin) / 5
    looking = False
    await watcher
    assert worst < 0.1
    assert took < 0.5


async def test_looks_that_come_together_all_get_an_answer(meter: ProcessMeter, client: SupervisorClient) -> None:
    run = await client.spawn(["sleep", "1000"])
    runs = await client.runs()
    answers = await asyncio.gather(*(meter.rows(runs, 1) for _ in range(8)))
    assert [[row.pid for row in rows] for rows in answers] == [[run.pid]] * 8
