"""Programs outlive the agent and the supervisor; who comes next finds them."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from harness.runs import ended, gone
from harness.supervisor import House, is_alive, until
from quix.exits import Exit, QuixError
from quix.supervisor import proc, tree
from quix.supervisor.client import SupervisorClient
from quix.supervisor.run import Run
from quix.supervisor.settings import SandboxMode
from quix.wire.reasons import Reason, Refusal
from quix.wire.runs import RunLimits, RunOptions


async def stop(client: SupervisorClient, number: signal.Signals) -> None:
    """End a client's supervisor, and wait until the client has another."""
    pid = client.pid
    os.kill(pid, number)
    await until(lambda: client.pid != pid, what="there is another supervisor")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_programs_outlive_the_supervisor(house: House, number: signal.Signals) -> None:
    client = await house.client()
    runs = [await client.spawn(["sleep", "1000"], RunOptions(title=f"number {index}")) for index in range(3)]
    await stop(client, number)
    assert await client.runs() == runs
    for run in runs:
        await client.signal(run.pid, "SIGTERM")
        await until(lambda pid=run.pid: not is_alive(pid))  # type: ignore[misc]
    assert await client.runs() == []
    await until(lambda: not list(house.layout.runs.iterdir()), what="nothing is kept of them")


async def test_an_adopted_program_that_ends_is_noticed_without_being_asked_for(house: House) -> None:
    client = await house.client()
    run = await client.spawn(["sleep", "1000"])
    await stop(client, signal.SIGKILL)
    os.kill(run.pid, signal.SIGKILL)
    await until(lambda: not list(house.layout.runs.iterdir()), what="its file is gone")


async def test_what_ended_while_there_was_no_supervisor_is_forgotten(house: House) -> None:
    client = await house.client()
    run = await client.spawn(["sleep", "1000"])
    pid = client.pid
    await client.close()
    os.kill(pid, signal.SIGKILL)
    os.kill(run.pid, signal.SIGKILL)
    await until(lambda: not is_alive(run.pid) and not is_alive(pid))
    client = await house.client()
    assert await client.runs() == []


def decided(house: House, run: Run, verdict: str) -> None:
    """The supervisor was killed when it had decided to end a run's program, and had not yet done so."""
    record = house.layout.runs / f"{run.id}.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"verdict": verdict}))


async def test_why_a_program_is_ended_is_on_the_disk_before_it_is_ended(house: House) -> None:
    client = await house.client()
    options = RunOptions(limits=RunLimits(time=0.3))
    script = "trap 'touch asked' TERM; while :; do sleep 0.01; done"
    await client.spawn(["sh", "-c", script], options, "k")
    await until(house.path("asked").exists, what="it was asked to end")
    assert json.loads((house.layout.runs / "k.json").read_text())["verdict"] == "timeout"
    assert (await ended(client, "k")).outcome == "timeout"


@pytest.mark.parametrize("is_dead", [True, False])
async def test_the_next_supervisor_knows_why_a_program_is_ended(house: House, is_dead: bool) -> None:
    client = await house.client()
    run = await client.spawn(["sleep", "1000"], RunOptions(), "k")
    await gone(client)
    decided(house, run, "output_limit")
    if is_dead:
        os.kill(run.pid, signal.SIGKILL)
        await until(lambda: not is_alive(run.pid))
    client = await house.client()
    assert (await ended(client, "k")).outcome == "output_limit"


async def test_the_status_of_a_program_that_ended_meanwhile_is_known_while_its_parent_has_not_asked(
    house: House,
) -> None:
    """It is a zombie then; this process stands in for an init that is busy."""
    libc = ctypes.CDLL(None)
    client = await house.client()
    run = await client.spawn(["sh", "-c", "while [ ! -e go ]; do sleep 0.01; done; exit 9"], RunOptions(), "k")
    assert libc.prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER
    try:
        await client.close()
        os.kill(client.pid, signal.SIGKILL)
        await until(lambda: not is_alive(client.pid))
        house.path("go").touch()
        await until(lambda: not is_alive(run.pid))
        client = await house.client()
        assert await client.runs() == []
        assert os.waitpid(run.pid, 0)[1] == 9 << 8
        state = await ended(client, "k")
        assert (state.outcome, state.exit_code) == ("exited", 9)
    finally:
        libc.prctl(36, 0, 0, 0, 0)


async def test_a_hidden_daemon_is_found_by_the_next_supervisor(house: House) -> None:
    client = await house.client()
    run = await client.spawn(["sh", "-c", "env -i setsid -f sleep 1000; exec sleep 1000"])

    def found() -> list[proc.Stat]:
        return [entry for entry in tree.members(run, proc.table()) if entry.comm == "sleep"]

    await until(lambda: len(found()) == 2)
    pids = [entry.pid for entry in found()]
    await stop(client, signal.SIGKILL)
    await client.signal(run.pid, "SIGKILL")
    assert not any(map(is_alive, pids))


@pytest.mark.parametrize("sandbox", ["landlock", "none"])
async def test_a_program_whose_pid_was_not_written_down_is_found_by_its_mark(
    house: House, sandbox: SandboxMode
) -> None:
    """The supervisor is killed after the program was executed, and before it could write the pid."""
    client = await house.client(sandbox)
    run = await client.spawn(["sh", "-c", "setsid -f sleep 1000; echo ready > ready; exec sleep 1000"])
    await house.written("ready")
    pid = client.pid
    await client.close()
    os.kill(pid, signal.SIGKILL)
    path = house.layout.runs / f"{run.id}.json"
    path.write_bytes(msgspec.json.encode(json.loads(path.read_text()) | {"pid": 0}))
    client = await house.client(sandbox)
    assert await client.runs() == [run]
    assert json.loads(path.read_text())["pid"] == run.pid


async def test_a_plan_without_a_program_is_forgotten(house: House) -> None:
    client = await house.client()
    run = await client.spawn(["sleep", "1000"])
    path = house.layout.runs / f"{run.id}.json"
    plan = json.loads(path.read_text()) | {"pid": 0}
    await house.end()
    path.write_text(json.dumps(plan))
    client = await house.client()
    assert await client.runs() == []
    assert not path.exists()


async def test_garbage_in_the_journal_is_set_aside(house: House) -> None:
    client = await house.client()
    run = await client.spawn(["sleep", "1000"])
    (house.layout.runs / "torn.json").write_text('{"id": "')
    (house.layout.runs / "notes").write_text("hello")
    (house.layout.runs / "folder.json").mkdir()
    os.mkfifo(house.layout.runs / "pipe.json")
    await stop(client, signal.SIGKILL)
    assert await client.runs() == [run]
    left = {path.name for path in house.layout.runs.iterdir()} - {f"{run.id}.json"}
    assert left == {"torn.json.bad", "notes", "folder.json.bad", "pipe.json.bad"}
    assert house.layout.log.read_text().count("set aside") == 3
    await stop(client, signal.SIGKILL)
    assert house.layout.log.read_text().count("set aside") == 3, "once is enough"


async def test_other_settings_make_another_supervisor_and_programs_go_on(house: House) -> None:
    client = await house.client("none")
    run = await client.spawn(["sleep", "1000"])
    await client.close()
    other = await house.client("landlock")
    assert other.pid != client.pid
    assert await other.runs() == [run]
    assert any("system folders" in sentence for sentence in other.sandbox.held)
    await until(lambda: not is_alive(client.pid))


async def test_agents_that_start_together_find_one_supervisor(house: House) -> None:
    clients = await asyncio.gather(*(house.client() for _ in range(4)))
    assert len({client.pid for client in clients}) == 1
    run = await clients[0].spawn(["sleep", "1000"])
    assert await clients[3].runs() == [run]


async def test_two_supervisors_never_share_a_folder(house: House) -> None:
    client = await house.client()
    command = [sys.executable, "-m", "quix.supervisor", *house.settings().argv()]
    second = subprocess.run(command, capture_output=True, text=True)
    assert second.returncode == Exit.UNAVAILABLE
    assert json.loads(second.stdout)["state"] == "busy"
    assert await client.runs() == []


AGENT = """
import asyncio, sys
from pathlib import Path
from quix.supervisor.client import SupervisorClient
from quix.supervisor.settings import SupervisorSettings

async def main():
    client = await SupervisorClient.start_or_find(SupervisorSettings(data_dir=Path(sys.argv[1])))
    run = await client.spawn(["sleep", "1000"])
    print(client.pid, run.pid, flush=True)
    await asyncio.sleep(1000)

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_supervisor_and_programs_outlive_an_agent_whose_whole_process_group_is_killed(
    house: House, number: signal.Signals
) -> None:
    command = [sys.executable, "-c", AGENT, str(house.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as agent:
        assert agent.stdout is not None
        supervisor, program = map(int, agent.stdout.readline().split())
        os.killpg(agent.pid, number)
        agent.wait()
    client = await house.client()
    assert client.pid == supervisor
    assert [run.pid for run in await client.runs()] == [program]
    stat = proc.stat(supervisor)
    assert stat is not None
    assert stat.session == supervisor
    streams = [str(Path(f"/proc/{supervisor}/fd/{number}").readlink()) for number in range(3)]
    assert streams == ["/dev/null", "/dev/null", str(house.layout.log)]


async def test_requests_in_flight_when_the_supervisor_dies_have_an_end(house: House) -> None:
    client = await house.client()
    os.kill(client.pid, signal.SIGSTOP)
    asked = [asyncio.create_task(client.runs()), asyncio.create_task(client.spawn(["sleep", "1000"]))]
    asked.append(asyncio.create_task(client.signal(1, "SIGHUP")))
    await asyncio.sleep(0)  # they are written
    await asyncio.sleep(0)
    os.kill(client.pid, signal.SIGKILL)
    listed, spawned, signalled = await asyncio.gather(*asked, return_exceptions=True)
    assert listed == []
    assert isinstance(spawned, Refusal)
    assert (spawned.reason, "view_running" in spawned.detail) == (Reason.SPAWN_FAILED, True)
    assert isinstance(signalled, Refusal)
    assert signalled.reason is Reason.UNAVAILABLE


IDLE = """
import sys
from quix.supervisor import __main__, supervisor
supervisor.IDLE_LIMIT = 0.5
sys.exit(__main__.main())
"""


async def test_it_ends_by_itself_once_there_is_nothing_to_do(house: House) -> None:
    command = [sys.executable, "-c", IDLE, *house.settings().argv()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as supervisor:
        assert supervisor.stdout is not None
        supervisor.stdout.readline()
        client = await SupervisorClient.start_or_find(house.settings())
        assert client.pid == supervisor.pid
        await asyncio.sleep(1)
        run = await client.spawn(["sleep", "1000"])  # with an agent, it stays
        await client.close()
        await asyncio.sleep(1)
        assert supervisor.poll() is None, "nor does it end while a program runs"
        os.kill(run.pid, signal.SIGKILL)
        assert supervisor.wait(20) == 0
    assert not house.layout.socket.exists()
    assert not house.layout.key.exists()


@pytest.mark.root
@pytest.mark.parametrize("closed", ["root", "supervisor"])
async def test_a_folder_that_belongs_to_somebody_else_is_refused(house: House, closed: str) -> None:
    house.layout.prepare_supervisor()
    folder: Path = getattr(house.layout, closed)
    os.chown(folder, 65534, 65534)
    with pytest.raises(QuixError, match=f"chown 0 {folder}") as caught:
        await house.client()
    assert caught.value.code is Exit.CONFIG


async def test_a_link_in_place_of_a_folder_is_refused(house: House) -> None:
    house.layout.prepare_supervisor()
    target = house.folder / "target"
    target.mkdir()
    house.layout.data.symlink_to(target)
    with pytest.raises(QuixError, match="data: Not a directory"):
        await house.client()
    assert target.stat().st_uid == os.geteuid()


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("no-such-user", "no user"),
        ("root", "is root"),
        ("0:5", "is root"),
        ("1:x", "UID:GID"),
        ("5000000000:1", "UID:GID"),
    ],
)
async def test_an_account_that_cannot_be_used_is_refused(house: House, user: str, message: str) -> None:
    with pytest.raises(QuixError, match=message) as caught:
        await house.client(program_user=user)
    assert caught.value.code is Exit.CONFIG


async def test_a_long_path_is_no_obstacle(house: House) -> None:
    """A Unix socket's own path may have 107 bytes (unix(7)); a data folder's may have more."""
    deep = House(house.folder / ("d" * 100) / ("e" * 100))
    client = await deep.client()
    try:
        assert await client.runs() == []
    finally:
        await deep.end()
