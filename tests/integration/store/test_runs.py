"""The runs of the store."""

from __future__ import annotations

import asyncio

import pytest

from harness.store import FakeClock, add_run
from quix.store import Store
from quix.store.errors import AlreadyExistsError, NotFoundError
from quix.store.runs import Run
from quix.wire.runs import RunLimits, RunOptions, RunState, Terminal


def state(run: str, **facts: object) -> RunState:
    return RunState(run=run, **{"state": "running", "proc_id": 7, "started_at": 1.0, **facts})  # type: ignore[arg-type]


async def test_a_run_is_kept_as_it_was(store: Store, clock: FakeClock) -> None:
    backend = await store.backends.create("ada", "192.0.2.1")
    cmd = ["printf", "%s", "a b", "", "ü\0\n", "x" * 100_000]
    options = RunOptions(title="t", limits=RunLimits(memory=2**20), restart="always", terminal=Terminal(24, 80))
    run = store.runs.new(backend.id, cmd, options, "ada")
    await store.runs.add(run)
    assert run == Run(
        id=run.id, backend_id=backend.id, cmd=cmd, proc_id=0, started_by="ada", started_at=clock.now, options=options
    )
    assert await store.runs.get(run.id) == run
    assert await store.runs.get("none") is None


async def test_environments_are_not_kept(store: Store) -> None:
    backend = await store.backends.create("ada", "192.0.2.1")
    run = store.runs.new(backend.id, ["true"], RunOptions(env={"PASSWORD": "secret"}, title="t"), "ada")
    await store.runs.add(run)
    kept = await store.runs.get(run.id)
    assert kept is not None
    assert kept.options == RunOptions(title="t")


async def test_pages_are_of_one_backend_from_the_oldest_on(store: Store, clock: FakeClock) -> None:
    backend = await store.backends.create("ada", "192.0.2.1")
    other = await store.backends.create("ada", "192.0.2.2")
    made = []
    for _ in range(5):
        clock.now += 1
        made.append(await add_run(store, backend.id))
        await add_run(store, other.id)
    first = await store.runs.page(backend.id, None, 3)
    second = await store.runs.page(backend.id, first[-1].id, 3)
    assert first + second == made
    assert await store.runs.page("none", None, 3) == []


async def test_no_run_is_kept_of_a_backend_that_is_gone(store: Store) -> None:
    backend = await store.backends.create("ada", "192.0.2.1")
    await store.backends.remove(backend.id)
    with pytest.raises(NotFoundError, match=f"there is no backend {backend.id}"):
        await add_run(store, backend.id)


async def test_a_users_key_names_one_run(store: Store) -> None:
    backend = await store.backends.create("ada", "192.0.2.1")
    new = [store.runs.new(backend.id, ["true"], RunOptions(), "ada") for _ in range(5)]
    results = await asyncio.gather(*(store.runs.add(run, "k") for run in new), return_exceptions=True)
    kept = [run for run, result in zip(new, results, strict=True) if result is None]
    assert [type(result) for result in results if result is not None] == [AlreadyExistsError] * 4
    assert [await store.runs.requested("ada", "k")] == kept
    await store.runs.add(store.runs.new(backend.id, ["true"], RunOptions(), "eve"), "k")
    assert await store.runs.requested("bob", "k") is None


async def test_a_start_and_an_end_are_told(store: Store) -> None:
    backend = await store.backends.create("ada", "192.0.2.1")
    run = await add_run(store, backend.id)
    await store.runs.started(run.id, 4711)
    running = await store.runs.get(run.id)
    assert running is not None
    assert (running.state, running.proc_id) == ("running", 4711)
    end = state(
        run.id, state="ended", proc_id=4712, restarts=1, stdout=5, stderr=6, ended_at=9.5, outcome="exited", exit_code=3
    )
    assert await store.runs.tell(backend.id, [state(run.id), end, state(run.id), end]) == [state(run.id), end]
    ended = await store.runs.get(run.id)
    assert ended is not None
    assert (ended.state, ended.proc_id, ended.restarts, ended.stdout, ended.stderr) == ("ended", 4712, 1, 5, 6)
    assert (ended.ended_at, ended.outcome, ended.exit_code, ended.exit_signal) == (9.5, "exited", 3, None)
    # An older word that arrives late changes nothing, and an end is final.
    assert await store.runs.tell(backend.id, [state(run.id), state("never-heard-of")]) == []
    await store.runs.started(run.id, 4711)
    await store.runs.refused(run.id, "limit_reached", "")
    assert await store.runs.get(run.id) == ended


async def test_a_backend_cannot_speak_of_anothers_runs(store: Store) -> None:
    backend = await store.backends.create("ada", "192.0.2.1")
    other = await store.backends.create("ada", "192.0.2.2")
    run = await add_run(store, backend.id)
    assert await store.runs.tell(other.id, [state(run.id, state="ended", outcome="exited", exit_code=0)]) == []
    assert await store.runs.get(run.id) == run


async def test_what_is_not_accounted_for_is_found(store: Store, clock: FakeClock) -> None:
    backend = await store.backends.create("ada", "192.0.2.1")
    known, refused, unknown = [await add_run(store, backend.id) for _ in range(3)]
    await store.runs.started(known.id, 1)
    await store.runs.refused(refused.id, "command_not_found", "nothing")
    assert await store.runs.starting(backend.id, clock.now, 10) == []
    assert await store.runs.unsettled(clock.now) == []
    clock.now += 0.5
    also = await add_run(store, backend.id)
    assert await store.runs.starting(backend.id, clock.now + 1, 10) == [unknown, also]
    assert await store.runs.starting(backend.id, clock.now + 1, 1) == [unknown]
    assert await store.runs.starting("another", clock.now + 1, 10) == []
    assert await store.runs.unsettled(clock.now + 1) == [backend.id]
    told = await store.runs.get(refused.id)
    assert told is not None
    assert (told.state, told.outcome, told.detail) == ("refused", "command_not_found", "nothing")


async def test_old_runs_are_forgotten_once_they_are_over(store: Store, clock: FakeClock) -> None:
    backend = await store.backends.create("ada", "192.0.2.1")
    ended, refused, untracked, running, starting = [await add_run(store, backend.id) for _ in range(5)]
    await store.runs.tell(backend.id, [state(ended.id, state="ended", ended_at=clock.now + 50, outcome="exited")])
    await store.runs.refused(refused.id, "limit_reached", "")
    await store.runs.untracked(untracked.id, 7)
    await store.runs.started(running.id, 7)
    assert await store.runs.purge(clock.now) == 0
    assert await store.runs.purge(clock.now + 1) == 2
    assert await store.runs.purge(clock.now + 51) == 1
    assert {run.id for run in await store.runs.page(backend.id, None, 9)} == {running.id, starting.id}
