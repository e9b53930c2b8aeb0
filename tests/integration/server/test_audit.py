"""The auditor: when rows are written, where the store is away, and failures that repeat."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from harness.store import FakeClock
from quix.exits import Exit, QuixError
from quix.server.audit import Auditor, reason_of
from quix.server.caller import Caller
from quix.store import Store
from quix.store.actions import Action
from quix.store.audit import AuditRow, Entry, Wanted
from quix.store.users import Role

ADA = Caller(name="ada", role=Role.OPERATOR, address="192.0.2.7")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path / 'quix.db'}", clock)
    yield store
    await store.close()


async def rows(auditor: Auditor, store: Store) -> list[AuditRow]:
    assert await auditor.flush()
    return [row async for row in store.audit.scan(Wanted())]


async def test_how_a_block_ends_is_the_outcome(store: Store, clock: FakeClock) -> None:
    auditor = Auditor(store, clock)
    with auditor.act(ADA, Action.SIGNAL, "b1", "7", mode="SIGHUP"):
        pass
    with pytest.raises(QuixError), auditor.act(ADA, Action.USER_ADDED, target="a b"):
        raise QuixError("name: no", Exit.DATA)
    with auditor.act(ADA, Action.USER_ADDED, target="bob") as act:
        await store.users.add("bob", Role.VIEWER, "hash", act.kept())
    found = await rows(auditor, store)
    assert sorted((row.action, row.target, row.outcome) for row in found) == [
        ("signal", "7", "success"),
        ("user_added", "a b", "request_invalid"),
        ("user_added", "bob", "success"),
    ]
    assert {(row.user, row.address, row.at) for row in found} == {("ada", "192.0.2.7", clock.now)}


def test_a_fault_is_one_and_says_no_more() -> None:
    assert reason_of(ZeroDivisionError("secret")) == "internal_error"


async def test_a_failure_that_repeats_is_counted(store: Store, clock: FakeClock) -> None:
    auditor = Auditor(store, clock)
    failed = Entry(action=Action.LOGIN_FAILED, address="192.0.2.9", outcome="password_invalid")
    for _ in range(5):
        auditor.note(failed)
        clock.now += 1
    auditor.note(Entry(action=Action.LOGIN_FAILED, address="192.0.2.10", outcome="password_invalid"))
    clock.now += 60
    auditor.note(failed)
    found = await rows(auditor, store)
    assert [(row.address, row.detail) for row in found] == [
        ("192.0.2.9", {}),
        ("192.0.2.10", {}),
        ("192.0.2.9", {"repeated": 4}),
    ]


async def test_what_succeeds_is_written_each_time(store: Store, clock: FakeClock) -> None:
    auditor = Auditor(store, clock)
    for _ in range(3):
        with auditor.act(ADA, Action.SIGNAL, "b1", "7"):
            pass
    assert len(await rows(auditor, store)) == 3


async def test_rows_wait_for_a_store_that_is_away(store: Store, clock: FakeClock, tmp_path: Path) -> None:
    auditor = Auditor(store, clock)
    auditor.first(ADA, Action.RUN_OUTPUT, "b1", "r1")
    with closing(sqlite3.connect(tmp_path / "quix.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # a writer that does not let go
        assert not await auditor.flush()
    auditor.first(ADA, Action.RUN_OUTPUT, "b1", "r2")
    auditor.first(ADA, Action.RUN_OUTPUT, "b1", "r1")
    assert [row.target for row in await rows(auditor, store)] == ["r1", "r2"]
