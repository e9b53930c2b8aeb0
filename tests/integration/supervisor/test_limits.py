"""What takes more than it may is ended, all of it, and the outcome says why."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.disks import small_disk
from harness.runs import END, Reader, ended, gone, succeeded, written
from harness.supervisor import PYTHON, House, is_alive, until
from quix.supervisor import proc, tree
from quix.supervisor.client import SupervisorClient
from quix.supervisor.hierarchies import hierarchies
from quix.supervisor.run import Run
from quix.wire.reasons import Reason, Refusal
from quix.wire.runs import RunLimits, RunOptions, RunState

MIB = 2**20

BOMB = """
import os, time
while True:
    try:
        if os.fork() == 0:
            os.setsid()
            time.sleep(1000)
    except OSError:
        time.sleep(1000)
"""

SPIN = "import os\nos.fork()\nwhile True: pass"

HOG = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        held = bytearray(b"x" * 24 * 2**20)
        time.sleep(1000)
time.sleep(1000)
"""
"""None of its processes alone takes too much."""

LIMITS = [
    (BOMB, RunLimits(processes=20), "processes_limit"),
    (SPIN, RunLimits(cpu=0.4), "cpu_limit"),
    (HOG, RunLimits(memory=64 * MIB), "memory_limit"),
    ("import os\nwhile True: os.write(1 + os.getpid() % 2, b'x' * 1000)", RunLimits(output=300_000), "output_limit"),
    ("import time\nwhile True: time.sleep(1)", RunLimits(time=0.3), "timeout"),
]

NO_GROUPS = """
import sys
from quix.supervisor import __main__, cgroups
cgroups._own_hierarchies = lambda: []
sys.exit(__main__.main())
"""
"""A supervisor on a machine that has no control groups."""


@contextlib.asynccontextmanager
async def without_groups(house: House) -> AsyncIterator[SupervisorClient]:
    house.layout.prepare_supervisor()
    command = [sys.executable, "-c", NO_GROUPS, *house.settings().argv()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as supervisor:
        assert supervisor.stdout is not None
        supervisor.stdout.readline()
        client = await house.client()
        assert client.pid == supervisor.pid
        try:
            yield client
        finally:
            await house.end()


def members(run: Run) -> list[int]:
    return [entry.pid for entry in tree.members(run, proc.table())]


@pytest.mark.parametrize(("script", "limits", "outcome"), [pytest.param(*each, id=each[2]) for each in LIMITS])
@pytest.mark.parametrize("groups", [True, False], ids=["groups", "counted"])
@pytest.mark.root
async def test_a_limit_ends_the_whole_run(
    house: House, script: str, limits: RunLimits, outcome: str, groups: bool
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        client = await house.client() if groups else await stack.enter_async_context(without_groups(house))
        bystander = await client.spawn(["sleep", "1000"], RunOptions(limits=limits), "bystander")
        run = await client.spawn([PYTHON, "-c", script], RunOptions(limits=limits), "k")
        state = await ended(client, "k")
        assert state.outcome == outcome
        assert members(run) == []
        if outcome != "timeout":
            assert is_alive(bystander.pid)


@pytest.mark.root
async def test_limits_that_are_not_passed_disturb_nobody(house: House) -> None:
    client = await house.client()
    limits = RunLimits(memory=256 * MIB, processes=50, cpu=30, output=MIB, time=60, open_files=100, file_size=MIB)
    script = "import resource; print(resource.getrlimit(7)[0], resource.getrlimit(1)[0])"
    await client.spawn([PYTHON, "-c", script], RunOptions(limits=limits), "k")
    reader = Reader("k")
    state = await reader.to_the_end(client)
    assert (state.outcome, state.exit_code) == ("exited", 0)
    assert reader.stdout == f"100 {MIB}\n".encode()


async def test_a_file_that_grows_too_large(house: House) -> None:
    client = await house.client()
    script = "import signal; signal.signal(25, signal.SIG_DFL); open('f', 'wb').write(bytes(2**21))"
    await client.spawn([PYTHON, "-c", script], RunOptions(limits=RunLimits(file_size=MIB)), "k")
    state = await ended(client, "k")
    assert (state.outcome, state.exit_signal) == ("file_limit", "SIGXFSZ")
    assert house.path("f").stat().st_size == MIB


async def test_who_takes_too_long_is_asked_first_and_killed_then(house: House) -> None:
    client = await house.client()
    for key, script in (("polite", "trap 'echo bye; exit 6' TERM"), ("deaf", "trap '' TERM")):
        loop = "; while :; do sleep 0.05; done"
        await client.spawn(["sh", "-c", script + loop], RunOptions(limits=RunLimits(time=0.3)), key)
    state = await ended(client, "polite")
    assert (state.outcome, state.exit_code, state.stdout) == ("timeout", 6, 4)
    began = time.monotonic()
    state = await ended(client, "deaf")
    assert (state.outcome, state.exit_signal) == ("timeout", "SIGKILL")
    assert time.monotonic() - began < 15


async def test_the_time_goes_on_under_another_supervisor(house: House) -> None:
    client = await house.client()
    await client.spawn(["sleep", "1000"], RunOptions(limits=RunLimits(time=2)), "k")
    began = time.monotonic()
    client = await succeeded(house, client)
    state = await ended(client, "k")
    assert state.outcome == "timeout"
    assert time.monotonic() - began > 1.9


async def test_the_time_is_that_of_one_start_also_under_another_supervisor(house: House) -> None:
    client = await house.client()
    script = "[ -e second ] && exec sleep 1000; touch second; sleep 1.2; exit 1"
    options = RunOptions(limits=RunLimits(time=2), restart="on-failure")
    await client.spawn(["sh", "-c", script], options, "k")
    await until(lambda: house.path("second").exists())
    while (state := (await written(client, "k")).state).restarts == 0 or state.state != "running":
        await asyncio.sleep(0.02)
    began = time.monotonic()
    client = await succeeded(house, client)
    while (state := (await written(client, "k")).state).restarts == 1 and state.state == "running":
        await asyncio.sleep(0.02)
    assert state.state == "waiting"
    assert time.monotonic() - began > 1.5
    await client.signal(0, "SIGKILL", "k")


# -- trees ---------------------------------------------------------------------------------------

LEAVES = """
import os, signal, sys, time

def daemon():
    if os.fork():
        os.wait()
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    os.closerange(0, 100)
    os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(1000)"], {})

def phoenix():
    "Forks on the way out, again and again."
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, lambda *_: None)
        while True:
            if os.fork(): os._exit(0)
            time.sleep(float(sys.argv[2]))

daemon()
phoenix()
if os.fork() == 0:
    os.setsid()
    time.sleep(1000)
print("ready", flush=True)
if sys.argv[1] == "ends":
    sys.exit(5)
time.sleep(1000)
"""


@pytest.mark.parametrize("limits", [RunLimits(), RunLimits(processes=5000)], ids=["free", "bound"])
@pytest.mark.parametrize("how", ["ends", "killed"])
@pytest.mark.root
async def test_whatever_a_program_leaves_behind_dies_with_it(house: House, limits: RunLimits, how: str) -> None:
    client = await house.client()
    run = await client.spawn([PYTHON, "-c", LEAVES, how, "0.001"], RunOptions(limits=limits), "k")
    reader = Reader("k")
    while not reader.stdout:
        await reader.once(client, wait=5)
    if how == "killed":
        assert len(members(run)) >= 3, "what forks on its way out is not always seen"
        await client.signal(run.pid, "SIGKILL")
    state = await ended(client, "k")
    assert (state.exit_code, state.exit_signal) == ((5, None) if how == "ends" else (None, "SIGKILL"))
    assert members(run) == []


@pytest.mark.root
async def test_groups_of_runs_that_were_lost_are_removed_and_the_run_begins_again(house: House) -> None:
    client = await house.client()
    options = RunOptions(limits=RunLimits(processes=50), restart="always")
    run = await client.spawn(["sleep", "1000"], options, "k")
    await client.close()
    os.kill(client.pid, 9)
    os.kill(run.pid, 9)
    await until(lambda: proc.stat(run.pid) is None)
    client = await house.client()
    while (state := (await written(client, "k")).state).state != "running":
        assert "could not be prepared" not in house.layout.log.read_text()
        await asyncio.sleep(0.02)
    assert state.restarts == 1


@pytest.mark.root
async def test_nothing_of_a_run_that_was_lost_stays(house: House) -> None:
    """Not even a process that is in its group and that nothing else tells from others."""
    client = await house.client()
    run = await client.spawn(["sleep", "1000"], RunOptions(), "k")
    (group,) = (each for each in hierarchies() if "pids" in each.controllers)
    folder = group.position / f"quix-{house.folder.stat().st_dev:x}-{house.folder.stat().st_ino:x}-k"
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        (folder / "cgroup.procs").write_text(str(stranger.pid))
        await gone(client)
        os.kill(run.pid, 9)
        await until(lambda: proc.stat(run.pid) is None)
        client = await house.client()
        assert (await ended(client, "k")).outcome == "lost"
        assert stranger.wait(5) == -9
    assert not folder.exists()


# -- a full disk ---------------------------------------------------------------------------------


@pytest.fixture
async def narrow() -> AsyncIterator[House]:
    """A data folder on a disk of 64 MiB."""
    folder = Path(tempfile.mkdtemp(prefix="quix-test-", dir="/tmp"))
    try:
        with small_disk(folder, "64m"):
            house = House(folder)
            try:
                yield house
            finally:
                (folder / "ballast").unlink(missing_ok=True)
                await house.end()
    finally:
        folder.rmdir()


@pytest.mark.root
async def test_who_fills_the_disk_is_ended_and_who_writes_little_is_not(narrow: House) -> None:
    client = await narrow.client()
    told: list[RunState] = []
    client.told = told.append
    little = "import time\nwhile True:\n    print('x', flush=True)\n    time.sleep(0.01)"
    modest = await client.spawn([PYTHON, "-c", little], RunOptions(), "modest")
    filler = "head -c 62700000 /dev/zero > f; while :; do head -c 100000 /dev/zero >> f; sleep 0.05; done"
    await client.spawn(["sh", "-c", filler], RunOptions(), "filler")
    state = await ended(client, "filler")
    assert (state.outcome, state.exit_signal) == ("disk_full", "SIGKILL")
    await until(lambda: "almost full" in narrow.layout.log.read_text(), what="and then nobody is the cause")
    assert is_alive(modest.pid)
    assert [each.run for each in told] == ["filler"]


def fill(folder: Path) -> Path:
    """Write a file that leaves no room at all; return it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as stream:
        for size in (2**20, 4096):
            with contextlib.suppress(OSError):
                while True:
                    stream.write(bytes(size))
    assert os.statvfs(folder).f_bavail == 0
    return ballast


@pytest.mark.root
async def test_who_ends_on_a_full_disk_can_be_told_not_to_begin_again(narrow: House) -> None:
    """Its output waits for room, so it has not ended yet for anybody."""
    client = await narrow.client()
    pid = client.pid
    script = "echo ready > ready; while [ ! -e go ]; do sleep 0.01; done; head -c 20000 /dev/zero; exit 3"
    run = await client.spawn(["sh", "-c", script], RunOptions(restart="always"), "k")
    await narrow.written("ready")
    ballast = fill(narrow.folder)
    narrow.path("go").touch()
    await until(lambda: not is_alive(run.pid))
    for _ in range(2):
        await client.signal(0, "SIGTERM", "k")
        assert (await written(client, "k", END, END)).state.state == "running"
    ballast.unlink()
    state = await ended(client, "k")
    assert (state.exit_code, state.stdout, state.restarts) == (3, 20_000, 0)
    assert client.pid == pid


@pytest.mark.root
async def test_an_end_that_cannot_be_recorded_yet_is_an_end(narrow: House) -> None:
    client = await narrow.client()
    script = "echo ready > ready; while [ ! -e go ]; do sleep 0.01; done; exit 3"
    await client.spawn(["sh", "-c", script], RunOptions(), "k")
    await narrow.written("ready")
    ballast = fill(narrow.folder)
    narrow.path("go").touch()
    assert (await ended(client, "k")).exit_code == 3
    with pytest.raises(Refusal) as caught:
        await client.signal(0, "SIGTERM", "k")
    assert caught.value.reason is Reason.RUN_UNKNOWN
    ballast.unlink()
    record = narrow.layout.runs / "k.json"
    await until(lambda: b'"exit_code":3' in record.read_bytes(), what="it is recorded once there is room")
    client = await succeeded(narrow, client)
    assert {state.run: state.exit_code for state in await client.states()}["k"] == 3


@pytest.mark.root
async def test_a_disk_that_is_full_to_the_last_byte_ends_no_supervisor(narrow: House) -> None:
    client = await narrow.client()
    pid = client.pid
    line = "i=$((i + 1)); printf '%0500d\\n' $i; sleep 0.005"
    writer = f"echo ready > ready; i=0; while [ ! -e stop ]; do {line}; done; exit 3"
    await client.spawn(["sh", "-c", writer], RunOptions(keep=2**30), "k")
    await narrow.written("ready")
    ballast = fill(narrow.folder)
    kept = narrow.layout.runs / "k.stdout"
    await until(lambda: kept.stat().st_size % 4096 == 0, what="its output does not fit any more")
    await asyncio.sleep(0.6)  # the guard has looked
    with pytest.raises(Refusal, match="could not be recorded") as caught:
        await client.spawn(["true"], RunOptions(), "other")
    assert caught.value.reason is Reason.SPAWN_FAILED
    assert [run.id for run in await client.runs()] == ["k"]
    ballast.unlink()
    narrow.path("stop").touch()
    reader = Reader("k")
    state = await reader.to_the_end(client)
    assert (state.outcome, state.exit_code) == ("exited", 3)
    lines = bytes(reader.stdout).split(b"\n")[:-1]
    assert lines == [b"%0500d" % number for number in range(1, len(lines) + 1)]
    assert client.pid == pid
