"""The tokens of the store: what they stand for, and for how long."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import event, select

from harness.store import FakeClock, OpenStore
from quix.store import Store, database
from quix.store.engine import StoreUnavailableError
from quix.store.lookups import CACHE_LIFE, CACHE_SIZE, CHUNK
from quix.store.tables import tokens
from quix.store.tokens import BACKEND, LOGIN
from quix.store.users import Role
from quix.wire.peer import token_digest
from quix.wire.reasons import Reason, Refusal


class Queries:
    """Counts the statements that a store sends."""

    def __init__(self, store: Store) -> None:
        self.count = 0
        event.listen(store._database._engine.sync_engine, "before_cursor_execute", self._executed)

    def _executed(self, *_: object) -> None:
        self.count += 1


async def settled(store: Store) -> None:
    """Wait until what was used has been settled."""
    async with asyncio.timeout(10):
        while store.tokens._retiring is not None:
            await asyncio.sleep(0.002)


async def test_a_token_stands_for_its_subject(store: Store, clock: FakeClock) -> None:
    token = await store.tokens.issue(BACKEND, "b1", 60, clock.now)
    found = await store.tokens.lookup(token, BACKEND, clock.now)
    assert found is not None
    assert (found.digest, found.kind, found.subject) == (token_digest(token), BACKEND, "b1")
    assert found.expires_at == clock.now + 60
    assert repr(found.digest) not in repr(found)
    assert await store.tokens.lookup("unknown", BACKEND, clock.now) is None


async def test_a_token_is_of_one_kind_alone(store: Store, clock: FakeClock) -> None:
    backends = await store.tokens.issue(BACKEND, "b1", 60, clock.now)
    users = await store.tokens.issue(LOGIN, "b1", 60, clock.now)
    assert await store.tokens.lookup(backends, LOGIN, clock.now) is None
    assert await store.tokens.lookup(users, BACKEND, clock.now) is None
    assert await store.tokens.lookup(users, LOGIN, clock.now) is not None
    assert await store.tokens.lookup(backends, LOGIN, clock.now) is None


async def test_only_a_digest_is_kept(store: Store, clock: FakeClock) -> None:
    token = await store.tokens.issue(BACKEND, "b1", 60, clock.now)
    async with store._database.read() as connection:
        row = (await connection.execute(select(tokens))).one()
    assert row.digest == token_digest(token)
    assert token not in repr(row)
    assert len(token) >= 43, "256 bits in base64"


async def test_an_expired_token_is_never_returned(store: Store, clock: FakeClock) -> None:
    token = await store.tokens.issue(BACKEND, "b1", 2, clock.now)
    assert await store.tokens.lookup(token, BACKEND, clock.now + 1.999) is not None
    assert await store.tokens.lookup(token, BACKEND, clock.now + 2) is None, "from the cache"
    assert await store.tokens.lookup(token, BACKEND, clock.now + 100) is None, "from the database"


async def test_a_revoked_token_is_gone_at_once(store: Store, clock: FakeClock) -> None:
    first = await store.tokens.issue(BACKEND, "b1", 60, clock.now)
    second = await store.tokens.issue(BACKEND, "b1", 60, clock.now)
    assert await store.tokens.lookup(first, BACKEND, clock.now) is not None
    assert await store.tokens.revoke(token_digest(first)) is True
    assert await store.tokens.lookup(first, BACKEND, clock.now) is None
    assert await store.tokens.lookup(second, BACKEND, clock.now) is not None
    assert await store.tokens.revoke(token_digest(first)) is False


async def test_a_subjects_tokens_end_together(store: Store, clock: FakeClock) -> None:
    await store.users.add("ada", Role.VIEWER, "a hash")
    hers = [await store.tokens.issue(LOGIN, "ada", 60, clock.now) for _ in range(3)]
    other_kind = await store.tokens.issue(BACKEND, "ada", 60, clock.now)
    other = await store.tokens.issue(LOGIN, "bob", 60, clock.now)
    for token in hers:
        assert await store.tokens.lookup(token, LOGIN, clock.now) is not None
    await store.users.set_password("ada", "another hash")
    assert [await store.tokens.lookup(token, LOGIN, clock.now) for token in hers] == [None] * 3
    assert await store.tokens.lookup(other_kind, BACKEND, clock.now) is not None
    assert await store.tokens.lookup(other, LOGIN, clock.now) is not None


async def test_purging_deletes_what_has_expired(store: Store, clock: FakeClock) -> None:
    await store.tokens.issue(BACKEND, "b1", 10, clock.now)
    await store.tokens.issue(BACKEND, "b2", 10, clock.now)
    lasting = await store.tokens.issue(BACKEND, "b3", 11, clock.now)
    assert await store.tokens.purge(clock.now + 10) == 2
    assert await store.tokens.purge(clock.now + 10) == 0
    assert await store.tokens.lookup(lasting, BACKEND, clock.now + 10) is not None


async def test_another_process_revokes_within_the_cache_life(open_store: OpenStore, clock: FakeClock) -> None:
    here, there = await open_store(), await open_store()
    token = await here.tokens.issue(BACKEND, "b1", 600, clock.now)
    assert await here.tokens.lookup(token, BACKEND, clock.now) is not None
    await there.tokens.revoke(token_digest(token))
    assert await here.tokens.lookup(token, BACKEND, clock.now + CACHE_LIFE) is None
    assert await there.tokens.lookup(token, BACKEND, clock.now) is None


async def test_a_clock_that_was_set_back_does_not_keep_a_token_alive(open_store: OpenStore, clock: FakeClock) -> None:
    here, there = await open_store(), await open_store()
    token = await here.tokens.issue(BACKEND, "b1", 9000, clock.now)
    assert await here.tokens.lookup(token, BACKEND, clock.now) is not None
    await there.tokens.revoke(token_digest(token))
    assert await here.tokens.lookup(token, BACKEND, clock.now - 3600) is None


# -- renewal --------------------------------------------------------------------------------------


async def test_the_old_token_lives_until_the_new_one_is_used(store: Store, clock: FakeClock) -> None:
    old = await store.tokens.issue(BACKEND, "b1", 60, clock.now)
    new = await store.tokens.renew(token_digest(old), 600, clock.now)
    assert await store.tokens.lookup(old, BACKEND, clock.now) is not None
    found = await store.tokens.lookup(new, BACKEND, clock.now)
    assert found is not None
    assert (found.subject, found.expires_at, found.pending) == ("b1", clock.now + 600, True)
    store.tokens.used(found.digest)
    await settled(store)
    assert await store.tokens.lookup(old, BACKEND, clock.now) is None
    again = await store.tokens.lookup(new, BACKEND, clock.now)
    assert again is not None
    assert again.pending is False


async def test_using_the_old_token_keeps_both(store: Store, clock: FakeClock) -> None:
    old = await store.tokens.issue(BACKEND, "b1", 60, clock.now)
    new = await store.tokens.renew(token_digest(old), 600, clock.now)
    store.tokens.used(token_digest(old))
    await settled(store)
    assert await store.tokens.lookup(old, BACKEND, clock.now) is not None
    assert await store.tokens.lookup(new, BACKEND, clock.now) is not None


async def test_renewing_again_replaces_the_unused_token(store: Store, clock: FakeClock) -> None:
    old = await store.tokens.issue(BACKEND, "b1", 60, clock.now)
    lost = await store.tokens.renew(token_digest(old), 600, clock.now)
    assert await store.tokens.lookup(lost, BACKEND, clock.now) is not None
    new = await store.tokens.renew(token_digest(old), 600, clock.now)
    assert await store.tokens.lookup(lost, BACKEND, clock.now) is None
    assert await store.tokens.lookup(new, BACKEND, clock.now) is not None
    assert await store.tokens.lookup(old, BACKEND, clock.now) is not None


async def test_a_chain_of_renewals_leaves_one_token(store: Store, clock: FakeClock) -> None:
    token = await store.tokens.issue(BACKEND, "b1", 60, clock.now)
    other = await store.tokens.issue(BACKEND, "b1", 60, clock.now)
    seen = [token]
    for _ in range(3):
        token = await store.tokens.renew(token_digest(token), 60, clock.now)
        assert await store.tokens.lookup(token, BACKEND, clock.now) is not None
        store.tokens.used(token_digest(token))
        await settled(store)
        seen.append(token)
    alive = [await store.tokens.lookup(each, BACKEND, clock.now) is not None for each in seen]
    assert alive == [False, False, False, True]
    assert await store.tokens.lookup(other, BACKEND, clock.now) is not None, "of another line"


@pytest.mark.parametrize("ended", ["expired", "revoked", "unknown"])
async def test_only_a_valid_token_is_renewed(store: Store, clock: FakeClock, ended: str) -> None:
    token = await store.tokens.issue(BACKEND, "b1", 60, clock.now)
    if ended == "expired":
        clock.now += 60
    elif ended == "revoked":
        await store.tokens.revoke(token_digest(token))
    else:
        token = "unknown"
    with pytest.raises(Refusal) as caught:
        await store.tokens.renew(token_digest(token), 60, clock.now)
    assert caught.value.reason is Reason.TOKEN_INVALID


async def test_many_renewed_tokens_used_at_once_are_settled_in_few_transactions(store: Store, clock: FakeClock) -> None:
    old = [await store.tokens.issue(BACKEND, f"b{number}", 60, clock.now) for number in range(100)]
    new = [await store.tokens.renew(token_digest(token), 60, clock.now) for token in old]
    queries = Queries(store)
    for token in new:
        store.tokens.used(token_digest(token))
    await settled(store)
    assert queries.count <= 6
    alive = await asyncio.gather(*(store.tokens.lookup(token, BACKEND, clock.now) for token in old + new))
    assert [token is not None for token in alive] == [False] * 100 + [True] * 100


async def test_closing_settles_what_was_used(open_store: OpenStore, clock: FakeClock) -> None:
    store = await open_store()
    old = await store.tokens.issue(BACKEND, "b1", 60, clock.now)
    new = await store.tokens.renew(token_digest(old), 60, clock.now)
    store.tokens.used(token_digest(new))
    await store.close()
    store = await open_store()
    assert await store.tokens.lookup(old, BACKEND, clock.now) is None
    assert await store.tokens.lookup(new, BACKEND, clock.now) is not None


async def test_what_cannot_be_settled_now_is_settled_by_a_later_use(
    open_store: OpenStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "POOL_TIMEOUT", 0.05)
    store = await open_store()
    old = await store.tokens.issue(BACKEND, "b1", 60, clock.now)
    new = await store.tokens.renew(token_digest(old), 60, clock.now)
    async with AsyncExitStack() as stack:
        for _ in range(database.POOL_SIZE):
            await stack.enter_async_context(store._database.read())
        store.tokens.used(token_digest(new))
        await settled(store)
    assert await store.tokens.lookup(old, BACKEND, clock.now) is not None
    store.tokens.used(token_digest(new))
    await settled(store)
    assert await store.tokens.lookup(old, BACKEND, clock.now) is None


async def test_a_token_that_was_never_renewed_costs_nothing_to_use(store: Store, clock: FakeClock) -> None:
    token = await store.tokens.issue(BACKEND, "b1", 60, clock.now)
    await store.tokens.lookup(token, BACKEND, clock.now)
    queries = Queries(store)
    store.tokens.used(token_digest(token))
    await settled(store)
    assert queries.count == 0


# -- many look-ups --------------------------------------------------------------------------------


async def test_a_reconnect_storm_takes_few_queries(store: Store, clock: FakeClock) -> None:
    number = 10_000
    names = [f"t{each}" for each in range(number)]
    rows = [
        {
            "digest": token_digest(name), "kind": BACKEND, "subject": name,
            "lineage": token_digest(name), "pending": False, "expires_at": clock.now + 60,
        }
        for name in names
    ]  # fmt: skip
    async with store._database.write() as connection:
        await connection.execute(tokens.insert(), rows)
    queries = Queries(store)
    found = await asyncio.gather(*(store.tokens.lookup(name, BACKEND, clock.now) for name in names))
    assert [token and token.subject for token in found] == names
    assert queries.count == number / CHUNK
    assert len(store.tokens._lookups._cache) == CACHE_SIZE


async def test_a_look_up_in_the_cache_asks_nothing(store: Store, clock: FakeClock) -> None:
    token = await store.tokens.issue(BACKEND, "b1", 60, clock.now)
    await store.tokens.lookup(token, BACKEND, clock.now)
    queries = Queries(store)
    for _ in range(10):
        assert await store.tokens.lookup(token, BACKEND, clock.now + 1) is not None
    assert queries.count == 0
    await store.tokens.lookup(token, BACKEND, clock.now + CACHE_LIFE)
    assert queries.count == 1


async def test_one_who_gives_up_takes_nobody_along(store: Store, clock: FakeClock) -> None:
    token = await store.tokens.issue(BACKEND, "b1", 60, clock.now)
    impatient = asyncio.create_task(store.tokens.lookup(token, BACKEND, clock.now))
    patient = asyncio.create_task(store.tokens.lookup(token, BACKEND, clock.now))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient is not None
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_look_ups_that_race_with_a_revocation(store: Store, clock: FakeClock) -> None:
    """Whoever asks once a revocation is done is told, whatever query was on its way at that time."""
    for number in range(30):
        token = await store.tokens.issue(BACKEND, f"b{number}", 60, clock.now)
        crowd = [asyncio.create_task(store.tokens.lookup(token, BACKEND, clock.now)) for _ in range(5)]
        await asyncio.sleep(0.0002 * (number % 7))
        await store.tokens.revoke(token_digest(token))
        assert await store.tokens.lookup(token, BACKEND, clock.now) is None
        await asyncio.gather(*crowd)
        assert await store.tokens.lookup(token, BACKEND, clock.now) is None


async def test_a_closed_store_refuses(open_store: OpenStore, clock: FakeClock) -> None:
    store = await open_store()
    token = await store.tokens.issue(BACKEND, "b1", 60, clock.now)
    running = asyncio.create_task(store.tokens.lookup(token, BACKEND, clock.now))
    await asyncio.sleep(0)
    await store.close()
    assert await running is not None, "it was asked for before the end"
    with pytest.raises(StoreUnavailableError) as caught:
        await store.tokens.lookup("another", BACKEND, clock.now)
    assert caught.value.reason is Reason.UNAVAILABLE
