"""Look-ups against a query that the test holds back, so that what overlaps with what is certain."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import Struct

from quix.store.errors import StoreUnavailableError
from quix.store.lookups import CHUNK, Lookups


class Item(Struct, frozen=True):
    digest: bytes
    owner: str


class Held:
    """A query that waits to be let go; it sees what there was when it began, as a database's does."""

    def __init__(self) -> None:
        self.rows = {b"1": Item(b"1", "ada"), b"2": Item(b"2", "ada"), b"3": Item(b"3", "bob")}
        self.asked: list[list[bytes]] = []
        self.began = asyncio.Event()
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, digests: list[bytes]) -> list[Item]:
        self.asked.append(sorted(digests))
        found = [self.rows[digest] for digest in digests if digest in self.rows]
        self.began.set()
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return found


async def begun(lookups: Lookups[Item], held: Held, *digests: bytes) -> list[asyncio.Task[Item | None]]:
    tasks = [asyncio.create_task(lookups.find(digest, 0.0)) for digest in digests]
    await held.began.wait()
    return tasks


async def test_what_is_asked_while_a_query_runs_shares_the_next_one() -> None:
    held = Held()
    lookups = Lookups(held)
    tasks = await begun(lookups, held, b"1", b"2")
    for digest in (b"3", b"4", b"3"):
        tasks.append(asyncio.create_task(lookups.find(digest, 0.0)))
        await asyncio.sleep(0)
    held.go.set()
    found = [item and item.owner for item in await asyncio.gather(*tasks)]
    assert found == ["ada", "ada", "bob", None, "bob"]
    assert held.asked == [[b"1", b"2"], [b"3", b"4"]]


async def test_a_query_has_a_bounded_size() -> None:
    held = Held()
    held.go.set()
    lookups = Lookups(held)
    await asyncio.gather(*(lookups.find(b"%d" % number, 0.0) for number in range(2 * CHUNK + 1)))
    assert [len(asked) for asked in held.asked] == [CHUNK, CHUNK, 1]


async def test_what_is_revoked_while_a_query_runs_is_not_found() -> None:
    held = Held()
    lookups = Lookups(held)
    tasks = await begun(lookups, held, b"1", b"2", b"3")
    lookups.forget_digest(b"1")
    held.go.set()
    assert [item and item.digest for item in await asyncio.gather(*tasks)] == [None, b"2", b"3"]
    assert lookups.cached(b"1") is None
    assert lookups.cached(b"2") is not None


async def test_an_owner_who_is_revoked_while_a_query_runs_is_not_found() -> None:
    held = Held()
    lookups = Lookups(held)
    tasks = await begun(lookups, held, b"1", b"2", b"3")
    lookups.forget_owner("ada")
    held.go.set()
    assert [item and item.digest for item in await asyncio.gather(*tasks)] == [None, None, b"3"]
    held.rows[b"4"] = Item(b"4", "ada")
    assert await lookups.find(b"4", 0.0) is not None, "what the owner was given since then"


async def test_a_failure_reaches_everybody_who_asked_and_nobody_later() -> None:
    held = Held()
    held.error = StoreUnavailableError()
    lookups = Lookups(held)
    tasks = await begun(lookups, held, b"1", b"2")
    held.go.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailableError] * 2
    held.error = None
    assert await lookups.find(b"1", 0.0) is not None


async def test_closing_waits_for_the_answers() -> None:
    held = Held()
    lookups = Lookups(held)
    (task,) = await begun(lookups, held, b"1")
    closing = asyncio.create_task(lookups.close())
    await asyncio.sleep(0)
    assert not closing.done()
    held.go.set()
    await closing
    assert await task is not None


@pytest.mark.parametrize("age", [-1.0, 5.0, 1e9])
async def test_an_answer_is_kept_for_five_seconds(age: float) -> None:
    held = Held()
    held.go.set()
    lookups = Lookups(held)
    await lookups.find(b"1", 100.0)
    await lookups.find(b"1", 104.9)
    assert len(held.asked) == 1
    await lookups.find(b"1", 100.0 + age)
    assert len(held.asked) == 2
