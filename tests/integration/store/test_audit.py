"""The audit's rows: added, chained, trimmed by age, and what tampering looks like."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import pytest
from sqlalchemy import text

from harness.store import FakeClock, OpenStore, add_run
from quix.store import Store
from quix.store.actions import Action
from quix.store.audit import LONGEST, AuditRow, Entry, Wanted, append_all
from quix.store.errors import AlreadyExistsError
from quix.store.users import Role
from quix.wire.runs import RunOptions


async def rows(store: Store, **wanted: Any) -> list[AuditRow]:
    return [row async for row in store.audit.scan(Wanted(**wanted))]


async def add(store: Store, count: int, at: float = 0.0, **fields: Any) -> None:
    entry = Entry(**{"action": Action.SIGNAL, "user": "ada", **fields})
    await store.audit.add([(at, entry) for _ in range(count)])


async def change(store: Store, statement: str) -> None:
    """Do what somebody with the database file in hand can do."""
    async with store._database.write() as connection:
        await connection.execute(text(statement))


async def test_a_row_says_what_it_was_given(store: Store) -> None:
    entry = Entry(
        action=Action.EXECUTE, user="ada", address="192.0.2.7", backend_id="b1", target="r1", outcome="timeout",
        detail={"program": "ls", "repeated": 3},
    )  # fmt: skip
    await store.audit.add([(12.5, entry)])
    (row,) = await rows(store)
    assert (row.id, row.at, row.user, row.address, row.action) == (1, 12.5, "ada", "192.0.2.7", "execute")
    assert (row.backend_id, row.target, row.outcome) == ("b1", "r1", "timeout")
    assert row.detail == {"program": "ls", "repeated": 3}


async def test_the_hash_is_what_the_description_says(store: Store) -> None:
    """Computed here with the standard library alone, from rows as they are exported."""
    await add(store, 1, 12.5, target="ü", detail={"program": "/bin/ls", "n": 1})
    await add(store, 2, 1e9 / 3)
    before = bytes(32)
    for row in await rows(store):
        compact: Any = {"separators": (",", ":"), "ensure_ascii": False}
        detail = json.dumps(row.detail, **compact)
        fields = [row.id, row.at, row.user, row.address, row.action, row.backend_id, row.target, row.outcome, detail]
        before = hashlib.sha256(before + json.dumps(fields, **compact).encode()).digest()
        assert row.hash == before.hex()


async def test_pages_go_back_and_scans_go_forth(store: Store) -> None:
    await add(store, 2500)
    assert [row.id for row in await rows(store)] == list(range(1, 2501))
    assert [row.id for row in await store.audit.newest(Wanted(), None, 3)] == [2500, 2499, 2498]
    assert [row.id for row in await store.audit.newest(Wanted(), 3, 10)] == [2, 1]


async def test_each_filter_leaves_what_fits(store: Store) -> None:
    await add(store, 1, 1.0, user="ada", action=Action.LOGIN)
    await add(store, 1, 2.0, user="bob", backend_id="b1")
    await add(store, 1, 3.0, user="bob", outcome="timeout")
    for wanted, ids in (
        ({"user": "bob"}, [2, 3]),
        ({"backend_id": "b1"}, [2]),
        ({"action": "login"}, [1]),
        ({"outcome": "timeout"}, [3]),
        ({"since": 2.0}, [2, 3]),
        ({"until": 2.0}, [1]),
        ({"user": "bob", "until": 3.0}, [2]),
        ({"user": "nobody"}, []),
    ):
        assert [row.id for row in await rows(store, **wanted)] == ids
        assert [row.id for row in await store.audit.newest(Wanted(**wanted), None, 9)] == ids[::-1]


async def test_several_processes_add_to_one_chain(open_store: OpenStore) -> None:
    stores = [await open_store() for _ in range(3)]
    await asyncio.gather(*(add(store, 5) for store in stores for _ in range(10)))
    verdict = await stores[0].audit.verify()
    assert (verdict.rows, verdict.last, verdict.broken) == (150, 150, "")


async def test_a_text_is_cut_and_made_fit(store: Store) -> None:
    await add(store, 1, target="x" * 5000, user="a\x00b\udc80", detail={"program": "y" * 5000})
    (row,) = await rows(store)
    assert (row.target, row.user) == ("x" * LONGEST, "a\ufffdb?")
    assert row.detail == {"program": "y" * LONGEST}
    assert not (await store.audit.verify()).broken


# -- with what it is about ------------------------------------------------------------------------


async def test_what_is_not_done_leaves_no_row(store: Store) -> None:
    entry = Entry(action=Action.USER_ADDED, target="ada")
    await store.users.add("ada", Role.VIEWER, "hash", entry)
    with pytest.raises(AlreadyExistsError):
        await store.users.add("ada", Role.VIEWER, "hash", entry)
    gone = Entry(action=Action.USER_REMOVED, target="bob")
    assert not await store.users.remove("bob", gone)
    assert not await store.users.set_role("bob", Role.VIEWER, gone)
    assert not await store.users.set_password("bob", "hash", gone)
    assert not await store.backends.remove("none", gone)
    assert [row.action for row in await rows(store)] == ["user_added"]


async def test_where_the_row_cannot_be_written_nothing_is_done(store: Store) -> None:
    backend = await store.backends.create("ada", "192.0.2.1")
    await change(store, "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END")
    run = store.runs.new(backend.id, ["true"], RunOptions(), "ada")
    with pytest.raises(Exception, match="exists|no backend"):
        await store.runs.add(run, None, Entry(action=Action.EXECUTE))
    assert await store.runs.get(run.id) is None
    kept = await add_run(store, backend.id)
    assert await store.runs.get(kept.id) is not None


# -- trimming and tampering -----------------------------------------------------------------------


async def test_old_rows_go_and_the_rest_still_holds(store: Store, clock: FakeClock) -> None:
    await add(store, 5, clock.now - 100)
    await add(store, 3, clock.now - 10)
    assert await store.audit.trim(clock.now - 50) == 5
    assert await store.audit.trim(clock.now - 50) == 0
    kept = await rows(store)
    assert [row.id for row in kept] == [6, 7, 8, 9]
    assert (kept[-1].action, kept[-1].detail["through"]) == ("audit_trimmed", 5)
    assert (await store.audit.verify()).broken == ""
    clock.now += 1000
    assert await store.audit.trim(clock.now - 50) == 4
    await add(store, 1)
    verdict = await store.audit.verify()
    assert (verdict.rows, verdict.last, verdict.broken) == (2, 11, "")


@pytest.mark.parametrize(
    ("tampering", "where"),
    [
        ("UPDATE audit SET outcome = 'success' WHERE id = 4", "row 4 is not what it was"),
        ("UPDATE audit SET at = at + 1 WHERE id = 1", "row 1 is not what it was"),
        ("UPDATE audit SET hash = zeroblob(32) WHERE id = 4", "row 4 is not what it was"),
        ("DELETE FROM audit WHERE id = 4", "row 5 follows on row 3"),
        ("DELETE FROM audit WHERE id <= 4", "row 5 follows on row 0"),
        ("UPDATE audit SET id = -id WHERE id IN (4, 5)", "row 6 follows on row 3"),
    ],
)
async def test_tampering_shows(store: Store, tampering: str, where: str) -> None:
    await add(store, 8, outcome="permission_denied")
    assert (await store.audit.verify()).broken == ""
    await change(store, tampering)
    assert where in (await store.audit.verify()).broken


async def test_a_row_that_is_made_to_fit_breaks_the_next(store: Store) -> None:
    await add(store, 3)
    before = (await rows(store))[0].hash
    await change(store, "DELETE FROM audit WHERE id > 1")
    await add(store, 1, user="eve")
    forged = (await rows(store))[1].hash
    await change(store, "DELETE FROM audit WHERE id > 1")
    await add(store, 2)
    await change(store, f"UPDATE audit SET user = 'eve', hash = x'{forged}' WHERE id = 2")
    assert before != forged
    assert "row 3 is not what it was when it was written, or row 2 is not" in (await store.audit.verify()).broken


async def test_rows_that_are_said_to_be_trimmed_and_are_not(store: Store, clock: FakeClock) -> None:
    await add(store, 4, clock.now - 100)
    await add(store, 2, clock.now)
    await store.audit.trim(clock.now - 50)
    await change(store, "DELETE FROM audit WHERE id = 5")
    assert "row 6 follows on row 4" in (await store.audit.verify()).broken
    await change(store, "UPDATE audit SET detail = '{}' WHERE action = 'audit_trimmed'")
    assert (await store.audit.verify()).broken


async def test_nothing_is_whole(store: Store) -> None:
    verdict = await store.audit.verify()
    assert (verdict.rows, verdict.last, verdict.broken) == (0, 0, "")


async def test_one_transaction_takes_many(store: Store) -> None:
    async with store._database.write() as connection:
        await append_all(connection, [(1.0, Entry(action=Action.LOGIN, user=name)) for name in ("a", "b")])
    assert [row.user for row in await rows(store)] == ["a", "b"]


async def test_what_is_trimmed_while_it_is_verified_is_no_tampering(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(store, 5, at=1000.0)
    await add(store, 5, at=2000.0)
    beginning, trimmed = store.audit._beginning, 0

    async def then_it_is_trimmed() -> tuple[int, bytes]:
        nonlocal trimmed
        found = await beginning()
        trimmed = trimmed or await store.audit.trim(1500.0)
        return found

    monkeypatch.setattr(store.audit, "_beginning", then_it_is_trimmed)
    verdict = await store.audit.verify()
    assert (trimmed, verdict.rows, verdict.broken) == (5, 6, "")
    await change(store, "DELETE FROM audit WHERE id = 8")
    assert "row 9 follows on row 7" in (await store.audit.verify()).broken
