"""Signals reach what they are meant for, all of it, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from harness.supervisor import PYTHON, House, is_alive, until
from quix.supervisor import proc, signals
from quix.supervisor.journal import Journal
from quix.supervisor.run import Run
from quix.supervisor.settings import SandboxMode
from quix.wire.reasons import Reason, Refusal

FAMILY = """
import os, sys, time

def daemon(environ):
    if os.fork():
        os.wait()
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    with open("family", "a") as f: f.write(f"{os.getpid()}\\n")
    os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(1000)"], environ)

for _ in range(2):
    if os.fork() == 0:
        with open("family", "a") as f: f.write(f"{os.getpid()}\\n")
        time.sleep(1000)
daemon(dict(os.environ))
if sys.argv[1] == "hides":
    daemon({})
with open("complete", "w") as f: f.write("yes\\n")
time.sleep(1000)
"""
"""Two children, a daemon, and one daemon that shed its environment."""


async def family(house: House, run: Run, size: int) -> list[int]:
    """Wait until all members are there; return their pids, that of the program last."""
    await house.written("complete")
    path = house.path("family")
    await until(lambda: path.exists() and len(path.read_text().split()) == size, what="the family is complete")
    return [*map(int, path.read_text().split()), run.pid]


@pytest.mark.parametrize("signal_mode", ["SIGTERM", "SIGKILL"])
@pytest.mark.parametrize("sandbox", ["landlock", "uid"])
@pytest.mark.root
async def test_the_whole_tree_is_reached_however_it_hides(house: House, sandbox: SandboxMode, signal_mode: str) -> None:
    client = await house.client(sandbox)
    bystander = await client.spawn(["sleep", "1000"])
    run = await house.run(client, FAMILY, "hides")
    pids = await family(house, run, 4)
    await client.signal(run.pid, signal_mode)  # type: ignore[arg-type]
    await until(lambda: not any(map(is_alive, pids)), what=f"all of {pids} are gone")
    assert is_alive(bystander.pid)
    assert [each.pid for each in await client.runs()] == [bystander.pid]


async def test_without_groups_the_environment_marks_a_daemon(house: House) -> None:
    client = await house.client("none")
    run = await house.run(client, FAMILY, "stays")
    pids = await family(house, run, 3)
    await client.signal(run.pid, "SIGKILL")
    assert not any(map(is_alive, pids))


async def test_sigkill_has_done_its_work_when_it_is_answered(house: House) -> None:
    client = await house.client()
    run = await client.spawn(["sh", "-c", "trap '' TERM HUP INT; while :; do sleep 1000 & wait; done"])
    await client.signal(run.pid, "SIGKILL")
    assert await client.runs() == []
    assert not is_alive(run.pid)


async def test_nothing_forks_past_sigkill(house: House) -> None:
    client = await house.client()
    script = """
import os, resource, signal, time
resource.setrlimit(resource.RLIMIT_NPROC, (60, 60))
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
program = os.getpid()
while True:
    try:
        if os.fork() == 0:
            os.setsid()
        elif os.getpid() != program:
            os._exit(0)
    except BlockingIOError:
        pass
    time.sleep(0.002)
"""
    run = await house.run(client, script)
    await until(lambda: len(of_run(run)) > 20, what="it has multiplied")
    await client.signal(run.pid, "SIGKILL")
    assert of_run(run) == []


def of_run(run: Run) -> list[int]:
    """The processes that bear the mark of a run, found without the supervisor's own means."""
    return [pid for pid in proc.table() if run.mark in proc.groups(pid) and is_alive(pid)]


async def test_what_a_program_starts_to_clean_up_is_left_alone(house: House) -> None:
    client = await house.client()
    clean_up = "trap 'sleep 0.3; echo clean > cleaned; exit' TERM; echo ready > ready; while :; do sleep 0.05; done"
    run = await client.spawn(["sh", "-c", clean_up])
    await house.written("ready")
    await client.signal(run.pid, "SIGTERM")
    assert await house.written("cleaned") == "clean\n"


async def test_sigterm_may_be_ignored_and_nothing_stays_stopped(house: House) -> None:
    client = await house.client()
    run = await client.spawn(
        ["sh", "-c", "trap '' TERM; echo ready > ready; while :; do sleep 0.02; date +%N > beat; done"]
    )
    await house.written("ready")
    await client.signal(run.pid, "SIGTERM")
    before = await house.written("beat")
    await until(lambda: house.path("beat").read_text() not in (before, ""), what="it goes on")
    assert [each.pid for each in await client.runs()] == [run.pid]


async def test_sigterm_wakes_what_was_stopped(house: House) -> None:
    client = await house.client()
    run = await client.spawn(["sleep", "1000"])
    os.kill(run.pid, signal.SIGSTOP)
    await client.signal(run.pid, "SIGTERM")
    await until(lambda: not is_alive(run.pid))


async def test_sighup_reaches_the_program_alone(house: House) -> None:
    client = await house.client()
    script = """
import os, signal, time
child = os.fork()
name = "program" if child else "child"
signal.signal(signal.SIGHUP, lambda *_: open(name, "w").write("hup\\n"))
open(f"{name}-ready", "w").write("yes\\n")
while True: time.sleep(0.01)
"""
    run = await house.run(client, script)
    await house.written("program-ready")
    await house.written("child-ready")
    await client.signal(run.pid, "SIGHUP")
    assert await house.written("program") == "hup\n"
    assert not house.path("child").exists()


@pytest.mark.parametrize("pid", [1, 2**31 - 1, 2**22])
async def test_what_quix_did_not_start_is_unknown(house: House, pid: int) -> None:
    client = await house.client()
    with pytest.raises(Refusal) as caught:
        await client.signal(pid, "SIGHUP")
    assert caught.value.reason is Reason.PID_UNKNOWN


async def test_a_child_of_a_program_is_no_program(house: House) -> None:
    client = await house.client()
    await house.run(client, FAMILY, "stays")
    await house.written("complete")
    child = int(house.path("family").read_text().split()[0])
    with pytest.raises(Refusal) as caught:
        await client.signal(child, "SIGKILL")
    assert caught.value.reason is Reason.PID_UNKNOWN
    assert is_alive(child)


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


async def test_a_pid_that_was_given_to_another_process_is_never_hit(
    house: House, stranger: subprocess.Popen[bytes]
) -> None:
    """The journal says that pid, and another start time, boot or both: what a reused pid looks like."""
    client = await house.client()
    run = await client.spawn(["sleep", "1000"])
    await client.signal(run.pid, "SIGKILL")
    found = proc.stat(stranger.pid)
    assert found is not None
    await house.end()
    journal = Journal(house.layout.runs)
    earlier = msgspec.structs.replace(run, id="1" * 32, pid=stranger.pid, start=found.start - 1)
    journal.plan(earlier)
    journal.plan(msgspec.structs.replace(earlier, id="2" * 32, start=found.start, boot_id="another boot"))
    journal.close()
    client = await house.client()
    assert await client.runs() == []
    for mode in ("SIGTERM", "SIGKILL", "SIGHUP"):
        with pytest.raises(Refusal) as caught:
            await client.signal(stranger.pid, mode)
        assert caught.value.reason is Reason.PID_UNKNOWN
    assert stranger.poll() is None


def test_a_signal_checks_the_start_time_again(stranger: subprocess.Popen[bytes]) -> None:
    found = proc.stat(stranger.pid)
    assert found is not None
    signals.send(msgspec.structs.replace(found, start=found.start + 1), signal.SIGKILL)
    assert stranger.poll() is None
    signals.send(found, signal.SIGKILL)
    assert stranger.wait(10) == -signal.SIGKILL
    signals.send(found, signal.SIGKILL)  # it has ended: nothing happens


async def test_a_thread_that_outlives_the_first_one_is_found(house: House) -> None:
    """The first thread of such a process is a zombie, the process is not."""
    client = await house.client()
    script = """
import ctypes, threading, time
def go_on():
    while True: time.sleep(0.05); open("beat", "w").write("yes\\n")
threading.Thread(target=go_on).start()
ctypes.CDLL(None).syscall(60, 0)  # exit(2) of this thread alone
"""
    run = await house.run(client, script)
    await until(lambda: (found := proc.stat(run.pid)) is not None and found.state == "Z")
    assert [each.pid for each in await client.runs()] == [run.pid]
    await client.signal(run.pid, "SIGKILL")
    await until(lambda: not Path(f"/proc/{run.pid}").exists(), what="no thread is left")


def test_python_is_where_programs_may_look() -> None:
    assert Path(PYTHON).exists()
