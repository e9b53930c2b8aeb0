"""Programs, seen from the server: what operators are told is what happened."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from harness.server import Client, door
from harness.store import add_run
from quix.link.outcomes import BackendOfflineError, ConnectionLostError, RefusedError, RequestTimeoutError
from quix.server.audit import Act
from quix.server.events import Kind
from quix.store.actions import Action
from quix.store.audit import Entry
from quix.store.errors import AlreadyExistsError, StoreUnavailableError
from quix.wire.runs import RunLimits, RunOptions


def ada() -> Act:
    return Act(Entry(action=Action.EXECUTE, user="ada"))


async def executing(client: Client) -> int:
    """Answer execute requests as a backend; return how many came until the task was cancelled."""
    count = 0
    try:
        while True:
            request = json.loads(await client.connection.recv())
            count += 1
            answer = {"rid": request["rid"], "msg": {"result": "success", "proc_id": 4711}}
            await client.connection.send(json.dumps(answer))
    except asyncio.CancelledError:
        return count


async def test_what_cannot_be_kept_is_not_started(tmp_path: Path) -> None:
    async with door(tmp_path) as here, here.client() as client:
        await client.enroll()
        backend = next(iter(here.control.fleet)).backend_id
        answering = asyncio.create_task(executing(client))
        with closing(sqlite3.connect(tmp_path / "quix.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # a writer that does not let go
            with pytest.raises(StoreUnavailableError):
                await here.control.programs.execute(ada(), backend, ["true"])
            other.execute("ROLLBACK")
        kept = await here.control.programs.execute(ada(), backend, ["true"])
        answering.cancel()
        assert await answering == 1
        assert (kept.proc_id, kept.state) == (4711, "untracked")
        assert [run.id for run in await here.control.store.runs.page(backend, None, 10)] == [kept.id]


async def test_a_program_that_was_started_is_a_success_also_where_that_cannot_be_kept(tmp_path: Path) -> None:
    async with door(tmp_path) as here, here.client() as client:
        await client.enroll()
        backend = next(iter(here.control.fleet)).backend_id
        asking = asyncio.create_task(here.control.programs.execute(ada(), backend, ["true"]))
        request = await client.receive()
        with closing(sqlite3.connect(tmp_path / "quix.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await client.connection.send(
                json.dumps({"rid": request["rid"], "msg": {"result": "success", "proc_id": 4711}})
            )
            run = await asking
            other.execute("ROLLBACK")
        assert (run.proc_id, run.started_by) == (4711, "ada")


async def test_what_a_backend_says_of_others_runs_is_told_to_nobody(tmp_path: Path) -> None:
    async with door(tmp_path) as here, here.client(extend=True) as client, here.client(extend=True) as other:
        store, reader = here.control.store, here.control.events.read()
        await client.enroll(extensions={"process": 1})
        backend = next(iter(here.control.fleet)).backend_id
        await other.enroll(extensions={"process": 1})
        run = await add_run(store, backend)
        end = {
            "run": run.id, "state": "ended", "proc_id": 1, "started_at": 1.0, "ended_at": 2.0,
            "outcome": "exited", "exit_code": 0,
        }  # fmt: skip
        reader.skip()
        assert (await other.ask("run_states", {"states": [end]}))["result"] == "success"
        assert [kept.event for kept in reader.take()] == []
        for _ in range(2):
            assert (await client.ask("run_states", {"states": [end, {**end, "exit_code": 1}]}))["result"] == "success"
        told = [kept.event for kept in reader.take()]
        assert [(event.kind, event.backend_id, event.data["exit_code"]) for event in told] == [
            (Kind.RUN_ENDED, backend, 0)
        ]


async def test_runs_that_were_lost_with_a_machine_hold_up_nobody_elses(tmp_path: Path) -> None:
    async with door(tmp_path) as here, here.client(extend=True) as client:
        store = here.control.store

        async def ask_for(backend_id: str, at: float) -> str:
            run = msgspec.structs.replace(store.runs.new(backend_id, ["true"], RunOptions(), "ada"), started_at=at)
            await store.runs.add(run)
            return run.id

        dead = await store.backends.create("gate", "192.0.2.1")
        for number in range(101):
            await ask_for(dead.id, 1000.0 + number)
        await client.enroll(extensions={"process": 1})
        its_run = await ask_for(next(iter(here.control.fleet)).backend_id, 2000.0)
        settling = asyncio.create_task(here.control.programs.settle())
        request = await client.receive()
        assert (request["req"], request["msg"]["run"]) == ("read_output", its_run)
        answer = {"result": "failure", "reason": "run_unknown"}
        await client.connection.send(json.dumps({"rid": request["rid"], "msg": answer}))
        await settling
        kept = await store.runs.get(its_run)
        assert kept is not None
        assert (kept.state, kept.outcome) == ("refused", "not_started")


async def test_a_seed_backend_is_never_asked_twice_by_one_key(tmp_path: Path) -> None:
    async with door(tmp_path, ask_timeout=0.3) as here, here.client() as client:
        await client.enroll()
        backend = next(iter(here.control.fleet)).backend_id
        for _ in range(2):
            with pytest.raises(RequestTimeoutError):
                await here.control.programs.execute(ada(), backend, ["true"], request_key="k")
        assert (await client.receive())["req"] == "execute"
        answering = asyncio.create_task(executing(client))
        one = await here.control.programs.execute(ada(), backend, ["true"], request_key="l")
        assert await here.control.programs.execute(ada(), backend, ["true"], request_key="l") == one
        with pytest.raises(AlreadyExistsError):
            await here.control.programs.execute(ada(), backend, ["false"], request_key="l")
        answering.cancel()
        assert await answering == 1


async def test_a_start_that_is_repeated_as_the_backend_leaves_is_not_called_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was asked for before, and may run."""
    async with door(tmp_path, ask_timeout=0.5) as here, here.client(extend=True) as client:
        await client.enroll(extensions={"process": 1})
        backend = next(iter(here.control.fleet)).backend_id
        with pytest.raises(RequestTimeoutError):
            await here.control.programs.execute(ada(), backend, ["true"], request_key="k")

        async def gone(*_asked: object) -> None:
            raise BackendOfflineError

        monkeypatch.setattr(here.control.fleet, "ask", gone)
        with pytest.raises(ConnectionLostError):
            await here.control.programs.execute(ada(), backend, ["true"], request_key="k")
        (run,) = await here.control.store.runs.page(backend, None, 10)
        assert run.state == "starting"


async def test_a_seed_backend_takes_no_options(tmp_path: Path) -> None:
    async with door(tmp_path) as here, here.client() as client:
        await client.enroll()
        backend = next(iter(here.control.fleet)).backend_id
        for options in (RunOptions(cwd="x"), RunOptions(limits=RunLimits(time=1)), RunOptions(stdin="pipe")):
            with pytest.raises(RefusedError) as refused:
                await here.control.programs.execute(ada(), backend, ["true"], options)
            assert refused.value.reason == "request_unknown"
