"""Keyed runs: started once, told until acknowledged, started again where that was asked for."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.runs import Reader, descriptors, ended, gone, replace, succeeded, written
from harness.supervisor import PYTHON, House, is_alive, until
from quix.supervisor import proc
from quix.supervisor.client import SupervisorClient
from quix.wire.reasons import Reason, Refusal
from quix.wire.runs import RunLimits, RunOptions, RunState

COUNT = ["sh", "-c", "echo $$ >> starts; exec sleep 1000"]
ALWAYS = RunOptions(restart="always")
ON_FAILURE = RunOptions(restart="on-failure")


def starts(house: House) -> int:
    """How many programs were started: each adds a line to a file."""
    path = house.path("starts")
    return len(path.read_text().splitlines()) if path.exists() else 0


def record(house: House, run: str) -> Path:
    return house.layout.runs / f"{run}.json"


def rewrite(house: House, run: str, **fields: Any) -> None:
    """Have the journal say something else of a run."""
    path = record(house, run)
    path.write_bytes(msgspec.json.encode(json.loads(path.read_text()) | fields))


async def state_of(client: SupervisorClient, run: str) -> RunState:
    return (await written(client, run)).state


# -- keys ----------------------------------------------------------------------------------------


async def test_a_key_starts_one_program_however_often_it_is_used(house: House) -> None:
    client, other = await house.client(), await house.client()
    asked = [each.spawn(COUNT, ALWAYS, "k") for each in (client, other) * 5]
    runs = await asyncio.gather(*asked)
    assert len({run.pid for run in runs}) == 1
    await client.close()
    assert await (await house.client()).spawn(COUNT, ALWAYS, "k") == runs[0], "of an agent that came back"
    await replace(other)
    assert await other.spawn(COUNT, ALWAYS, "k") == runs[0], "of another supervisor"
    await house.written("starts")
    assert starts(house) == 1


async def test_a_key_stands_for_what_it_was_used_for(house: House) -> None:
    client = await house.client()
    await client.spawn(COUNT, RunOptions(), "k")
    for cmd, options in ((["sleep", "5"], RunOptions()), (COUNT, RunOptions(title="x"))):
        with pytest.raises(Refusal, match="used before") as caught:
            await client.spawn(cmd, options, "k")
        assert caught.value.reason is Reason.REQUEST_INVALID
    run = await client.spawn(COUNT)
    with pytest.raises(Refusal, match="used before"):
        await client.spawn(["sleep", "5"], RunOptions(), run.id)


async def test_a_key_whose_program_ended_answers_as_at_first(house: House) -> None:
    client = await house.client()
    first = await client.spawn(["true"], RunOptions(), "k")
    await ended(client, "k")
    for _ in range(2):
        again = await client.spawn(["true"], RunOptions(), "k")
        assert (again.proc_id, again.started_at) == (first.pid, first.started_at)
        await client.acknowledge("k")
    client = await succeeded(house, client)
    assert (await client.spawn(["true"], RunOptions(), "k")).proc_id == first.pid


async def test_a_key_that_was_refused_is_free(house: House) -> None:
    client = await house.client()
    for cmd in (["no-such-program"], ["/no/such/program"]):
        with pytest.raises(Refusal):
            await client.spawn(cmd, RunOptions(), "k")
    assert await client.states() == []
    assert list(house.layout.runs.iterdir()) == [], "nothing is left of it"
    run = await client.spawn(COUNT, RunOptions(), "k")
    assert [each.pid for each in await client.runs()] == [run.pid]


@pytest.mark.parametrize("options", [RunOptions(env={"A": "a\0b"}), RunOptions(cwd="a\0b")])
async def test_what_no_program_can_be_given_is_refused_before_anything_is_done(
    house: House, options: RunOptions
) -> None:
    client = await house.client()
    with pytest.raises(Refusal, match="NUL") as caught:
        await client.spawn(["true"], options, "k")
    assert caught.value.reason is Reason.REQUEST_INVALID
    assert list(house.layout.runs.iterdir()) == []


async def test_a_plan_whose_program_was_never_executed_is_started_by_its_key(house: House) -> None:
    """The supervisor was killed right after it had put the plan on the disk."""
    client = await house.client()
    run = await client.spawn(COUNT, RunOptions(), "k")
    await house.written("starts")
    await client.signal(run.pid, "SIGKILL")
    await ended(client, "k")
    await gone(client)
    for path in house.layout.runs.iterdir():
        if path != record(house, "k"):
            path.unlink()
    rewrite(house, "k", pid=0, proc_id=0, ended=None)
    house.path("starts").unlink()
    client = await house.client()
    assert await client.states() == []
    again = await client.spawn(COUNT, RunOptions(), "k")
    assert again.pid != run.pid
    await house.written("starts")


async def test_a_program_that_ended_before_its_pid_was_written_down_is_not_started_twice(house: House) -> None:
    """The supervisor was killed right after the exec, and the program ended before there was another."""
    client = await house.client()
    run = await client.spawn(COUNT, RunOptions(), "k")
    await house.written("starts")
    await gone(client)
    os.kill(run.pid, signal.SIGKILL)
    await until(lambda: proc.stat(run.pid) is None)
    rewrite(house, "k", pid=0, proc_id=0)
    client = await house.client()
    assert [(state.run, state.outcome) for state in await client.states()] == [("k", "lost")]
    with pytest.raises(Refusal, match="unknown") as caught:
        await client.spawn(COUNT, RunOptions(), "k")
    assert caught.value.reason is Reason.SPAWN_FAILED
    assert starts(house) == 1


async def test_a_program_whose_pid_was_not_written_down_is_found_with_its_key(house: House) -> None:
    client = await house.client()
    run = await client.spawn(COUNT, RunOptions(), "k")
    await house.written("starts")
    await gone(client)
    rewrite(house, "k", pid=0, proc_id=0)
    client = await house.client()
    assert (await client.spawn(COUNT, RunOptions(), "k")).pid == run.pid
    assert starts(house) == 1


async def test_no_descriptor_and_no_file_stays_behind(house: House) -> None:
    client = await house.client()
    await client.spawn(["true"], RunOptions(), "first")
    await ended(client, "first")
    before = descriptors(client.pid)
    with_terminal = msgspec.convert({"terminal": {"rows": 5, "columns": 9}, "stdin": "pipe"}, RunOptions)
    for number in range(100):
        options = (RunOptions(stdin="pipe"), with_terminal, RunOptions(limits=RunLimits(memory=2**28)))[number % 3]
        await client.spawn(["true"], options, f"k{number}")
        with pytest.raises(Refusal):
            await client.spawn(["/no/such/program"], options, f"refused{number}")
    for number in range(100):
        await ended(client, f"k{number}")
        await Reader(f"k{number}").once(client)
    unkeyed = await client.spawn(["sleep", "1000"])
    with pytest.raises(Refusal, match="without a key"):
        await written(client, unkeyed.id)
    await client.signal(unkeyed.pid, "SIGKILL")
    await until(lambda: descriptors(client.pid) == before, what="all descriptors are closed")
    names = {path.name.split(".")[0] for path in house.layout.runs.iterdir()}
    assert names == {"first", *(f"k{number}" for number in range(100))}
    assert not [path for path in house.layout.runs.iterdir() if path.suffix == ".pipe"]


# -- ends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "outcome", "code", "number"),
    [
        ("exit 0", "exited", 0, None),
        ("exit 255", "exited", 255, None),
        ("kill -SEGV $$", "signalled", None, "SIGSEGV"),
        ("kill -TERM $$", "signalled", None, "SIGTERM"),
        ("kill -40 $$", "signalled", None, "SIG40"),
    ],
)
async def test_how_a_program_ended(house: House, script: str, outcome: str, code: int | None, number: str) -> None:
    client = await house.client()
    told: list[RunState] = []
    client.told = told.append
    run = await client.spawn(["sh", "-c", script], RunOptions(), "k")
    state = await ended(client, "k")
    assert (state.outcome, state.exit_code, state.exit_signal) == (outcome, code, number)
    assert (state.run, state.proc_id, state.restarts) == ("k", run.pid, 0)
    assert state.ended_at is not None
    assert run.started_at <= state.ended_at <= time.time()
    await until(lambda: told == [state], what="and it is told unasked, once")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_an_adopted_programs_status_is_known(house: House, number: signal.Signals) -> None:
    """Since Linux 6.15, a pidfd tells the exit status of anybody's child."""
    if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 15):
        pytest.skip("this kernel does not tell")
    client = await house.client()
    wait = "while [ ! -e go ]; do sleep 0.02; done;"
    await client.spawn(["sh", "-c", wait + "echo bye; exit 7"], RunOptions(), "exits")
    await client.spawn(["sh", "-c", wait + "kill -USR1 $$"], RunOptions(), "dies")
    client = await succeeded(house, client, number)
    told: list[RunState] = []
    client.told = told.append
    assert {state.run: state.state for state in await client.states()} == {"exits": "running", "dies": "running"}
    house.path("go").touch()
    state = await ended(client, "exits")
    assert (state.outcome, state.exit_code, state.stdout) == ("exited", 7, 4)
    state = await ended(client, "dies")
    assert (state.outcome, state.exit_signal) == ("signalled", "SIGUSR1")
    assert {state.run for state in told} == {"exits", "dies"}


async def test_an_end_is_told_until_it_is_acknowledged(house: House) -> None:
    client = await house.client()
    for key in ("a", "b"):
        await client.spawn(["sh", "-c", "exit 3"], RunOptions(), key)
        await ended(client, key)
    expected = sorted(await client.states(), key=lambda state: state.run)
    assert [(state.run, state.exit_code) for state in expected] == [("a", 3), ("b", 3)]
    for number in (signal.SIGKILL, signal.SIGTERM):
        client = await succeeded(house, client, number)
        assert sorted(await client.states(), key=lambda state: state.run) == expected
    await client.acknowledge("a")
    await client.acknowledge("a")
    client = await succeeded(house, client)
    assert await client.states() == expected[1:]
    assert (await state_of(client, "a")).exit_code == 3, "who asks for it is still answered"


async def test_what_ended_while_there_was_no_supervisor_is_lost_and_told(house: House) -> None:
    client = await house.client()
    run = await client.spawn(["sh", "-c", "echo hello; exec sleep 1000"], RunOptions(), "k")
    await until(lambda: (house.layout.runs / "k.stdout").stat().st_size == 6)
    await gone(client)
    os.kill(run.pid, signal.SIGKILL)
    await until(lambda: proc.stat(run.pid) is None, what="its status is gone")
    client = await house.client()
    (state,) = await client.states()
    assert (state.state, state.outcome, state.exit_code, state.proc_id) == ("ended", "lost", None, run.pid)
    reader = Reader("k")
    await reader.to_the_end(client)
    assert reader.stdout == b"hello\n"
    assert not [path for path in house.layout.runs.iterdir() if path.suffix == ".pipe"]


@pytest.mark.parametrize("known", [True, False])
async def test_after_a_restart_of_the_machine(house: House, known: bool) -> None:
    """Nothing of another boot runs, whatever has its pid now. The pid may not have been on the disk at a power cut."""
    client = await house.client()
    runs = [await client.spawn(COUNT, RunOptions(restart=each), each) for each in ("never", "on-failure", "always")]
    await until(lambda: starts(house) == 3)
    await gone(client)
    for run in runs:
        os.kill(run.pid, signal.SIGKILL)
        rewrite(house, run.id, boot_id="another", pid=os.getpid() if known else 0)
    await until(lambda: not any(is_alive(run.pid) for run in runs))
    for path in house.layout.runs.glob("*.pipe"):
        if not known:  # it was not on the disk either
            path.unlink()
    client = await house.client()
    states = {state.run: state for state in await client.states()}
    assert (states["never"].state, states["never"].outcome) == ("ended", "lost")
    assert states["on-failure"].state == states["always"].state == "waiting"
    await until(lambda: starts(house) == 5, what="both are started again")
    states = {state.run: state for state in await client.states()}
    assert {(states[key].state, states[key].restarts) for key in ("on-failure", "always")} == {("running", 1)}
    stat = proc.stat(os.getpid())
    assert stat is not None, "whoever has its pid now is left alone"


# -- starting again ------------------------------------------------------------------------------


async def test_a_failure_is_followed_by_another_start_later_and_later(house: House) -> None:
    client = await house.client()
    told: list[tuple[float, RunState]] = []
    client.told = lambda state: told.append((time.monotonic(), state))
    script = "echo $$ >> starts; echo x; if [ $(wc -l < starts) = 3 ]; then exit 0; fi; exit 5"
    run = await client.spawn(["sh", "-c", script], ON_FAILURE, "k")
    state = await ended(client, "k")
    assert (state.exit_code, state.restarts, state.stdout) == (0, 2, 6)
    assert starts(house) == 3
    assert state.proc_id != run.pid
    assert (await client.spawn(["sh", "-c", script], ON_FAILURE, "k")).proc_id == run.pid, "repeats are answered alike"
    waited = [at for at, state in told if state.state == "waiting"]
    again = [at for at, state in told if state.state == "running"]
    pauses = [after - before for before, after in zip(waited, again, strict=True)]
    assert [0.45 < pauses[0] < 3, 0.95 < pauses[1] < 3] == [True, True], pauses
    assert starts(house) == 3


@pytest.mark.parametrize("named_by", ["pid", "run"])
@pytest.mark.parametrize("mode", ["SIGTERM", "SIGKILL", "SIGINT"])
async def test_who_is_told_to_end_does_not_begin_again(house: House, named_by: str, mode: str) -> None:
    client = await house.client()
    run = await client.spawn(COUNT, ALWAYS, "k")
    await house.written("starts")
    if named_by == "pid":
        await client.signal(run.pid, mode)  # type: ignore[arg-type]
    else:
        await client.signal(0, mode, "k")  # type: ignore[arg-type]
    state = await ended(client, "k")
    assert (state.exit_signal, state.restarts) == (mode, 0)
    assert starts(house) == 1


async def test_a_program_that_is_killed_does_not_end_in_a_way_of_its_own(house: House) -> None:
    """As a shell does that sees its child killed, or cannot start another."""
    client = await house.client()
    for number in range(10):
        key = f"k{number}"
        await client.spawn(["sh", "-c", f"touch {key}; while /bin/true; do :; done; exit 3"], RunOptions(), key)
        await until(house.path(key).exists)
        await client.signal(0, "SIGKILL", key)
        assert (await ended(client, key)).exit_signal == "SIGKILL"


@pytest.mark.parametrize("replaced", [False, True])
async def test_who_waits_for_another_start_can_be_told_to_end(house: House, replaced: bool) -> None:
    before = 3 if replaced else 2
    client = await house.client()
    await client.spawn(["sh", "-c", "echo $$ >> starts; exit 4"], ON_FAILURE, "k")
    await until(lambda: starts(house) == before)
    while (await state_of(client, "k")).state != "waiting":
        await asyncio.sleep(0.01)
    if replaced:
        client = await succeeded(house, client)
    with pytest.raises(Refusal) as caught:
        await client.signal((await state_of(client, "k")).proc_id, "SIGTERM")
    assert caught.value.reason is Reason.PID_UNKNOWN, "no program has that pid"
    await client.signal(0, "SIGTERM", "k")
    state = await state_of(client, "k")
    assert (state.state, state.outcome, state.exit_code, state.restarts) == ("ended", "exited", 4, before - 1)
    with pytest.raises(Refusal) as caught:
        await client.signal(0, "SIGTERM", "k")
    assert caught.value.reason is Reason.RUN_UNKNOWN
    await asyncio.sleep(2.2 if replaced else 1.2)  # when it was to begin again
    assert starts(house) == before


async def test_a_run_that_waits_begins_again_under_another_supervisor(house: House) -> None:
    client = await house.client()
    await client.spawn(["sh", "-c", "echo $$ >> starts; exit 4"], ON_FAILURE, "k")
    await until(lambda: starts(house) == 2)
    await gone(client)
    rewrite(house, "k", next_start=time.time() + 10**7)  # a clock that was set back
    client = await house.client()
    assert (await state_of(client, "k")).state == "waiting"
    await gone(client)
    rewrite(house, "k", next_start=time.time() - 5)
    client = await house.client()
    await until(lambda: starts(house) >= 3)
    assert (await state_of(client, "k")).restarts >= 2


async def test_what_can_be_started_no_more_says_so(house: House) -> None:
    client = await house.client()
    program = house.path("program")
    program.write_text(f"#!{PYTHON}\nraise SystemExit(1)\n")
    program.chmod(0o755)
    await client.spawn([str(program)], ON_FAILURE, "k")
    program.unlink()
    state = await ended(client, "k")
    assert state.outcome == "not_started"
    assert "No such file" in state.detail


async def test_a_policy_that_cannot_be_read_for_a_moment_ends_no_run_that_starts_again(house: House) -> None:
    """Its owner mends it, and has denied nothing by a slip of the pen."""
    policy = house.folder / "policy.toml"
    policy.write_text("max_programs = 16\n")
    house.folder.chmod(0o711)
    client = await house.client(policy=policy)
    script = "while [ ! -e go ]; do sleep 0.02; done; rm go"
    await client.spawn(["sh", "-c", script], RunOptions(restart="always"), "k")
    policy.write_text("max_program = 16\n")
    house.path("go").touch()

    async def restarts() -> int:
        (state,) = await client.states()
        assert state.state != "ended", state
        return state.restarts

    log = house.layout.log
    await until(lambda: "the policy of this machine cannot be read" in log.read_text(), what="it is put off")
    policy.write_text("max_programs = 16\n")
    async with asyncio.timeout(20):
        while await restarts() == 0 or not await client.runs():
            await asyncio.sleep(0.05)
