"""The backends of the store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from harness.store import FakeClock, add_run
from quix.store import Store
from quix.store.backends import Change
from quix.store.errors import NotFoundError
from quix.store.search import Cursor, Sought
from quix.store.sight import Sight
from quix.store.tokens import BACKEND
from quix.vpn.pool import Pool
from quix.wire.messages import AgentFacts

FACTS = AgentFacts(
    name="web-1",
    hostname="web-1.example",
    os="Debian GNU/Linux 12",
    kernel="6.1.0",
    arch="x86_64",
    agent_version="0.1.0",
    boot_id="0b0f0c62-8f2e-4a52-9d2d-6a2a5f1c9a11",
    labels={"site": "Zürich", "odd": "a\u2028b \U0001f600"},
)


async def test_a_new_backend_is_named_by_its_id(store: Store, clock: FakeClock) -> None:
    backend = await store.backends.create("ada", "192.0.2.1")
    assert backend.name == backend.id
    assert (backend.enrolled_by, backend.address, backend.facts) == ("ada", "192.0.2.1", None)
    assert backend.created_at == backend.last_seen == clock.now
    assert await store.backends.get(backend.id) == backend
    assert await store.backends.get("none") is None


async def test_the_same_user_makes_a_new_backend_each_time(store: Store) -> None:
    ids = {(await store.backends.create("ada", "192.0.2.1")).id for _ in range(20)}
    assert len(ids) == 20


async def test_facts_bring_the_name(store: Store) -> None:
    backend = await store.backends.create("ada", "192.0.2.1")
    assert await store.backends.set_facts(backend.id, FACTS) is True
    found = await store.backends.get(backend.id)
    assert found is not None
    assert (found.name, found.facts) == ("web-1", FACTS)
    assert await store.backends.set_facts("none", FACTS) is False


async def test_an_id_is_found_before_a_name_and_a_name_may_be_shared(store: Store, clock: FakeClock) -> None:
    first = await store.backends.create("ada", "192.0.2.1")
    clock.now += 1
    second = await store.backends.create("ada", "192.0.2.2")
    third = await store.backends.create("ada", "192.0.2.3")
    await store.backends.set_facts(first.id, FACTS)
    await store.backends.set_facts(second.id, FACTS)
    impostor = AgentFacts(name=first.id, hostname="h", os="o", kernel="k", arch="a", agent_version="v", boot_id="b")
    await store.backends.set_facts(third.id, impostor)
    assert [backend.id for backend in await store.backends.find("web-1")] == [first.id, second.id]
    assert [backend.id for backend in await store.backends.find(first.id)] == [first.id]
    assert await store.backends.find("web") == []


async def test_pages_go_from_the_oldest_on(store: Store, clock: FakeClock) -> None:
    made = []
    for _ in range(5):
        clock.now += 1
        made.append((await store.backends.create("ada", "192.0.2.1")).id)
    first = await store.search.page(Sought(), None, 3)
    second = await store.search.page(Sought(), Cursor(first[-1].id), 3)
    assert [backend.id for backend in first + second] == made


async def test_a_backend_that_is_removed_meanwhile_makes_no_page_shorter(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sees less than a page takes it for the last."""
    ids = sorted([(await store.backends.create("gate", "192.0.2.1")).id for _ in range(5)])
    read, reads = store._database.read, 0

    @asynccontextmanager
    async def then_one_is_removed() -> AsyncIterator[Any]:
        nonlocal reads
        async with read() as connection:
            yield connection
        reads += 1
        if reads == 1:
            await store.backends.remove(ids[1])

    monkeypatch.setattr(store._database, "read", then_one_is_removed)
    assert [backend.id for backend in await store.search.page(Sought(), None, 4)] == ids[:4]


async def test_sightings_are_written_together(store: Store, clock: FakeClock) -> None:
    first = await store.backends.create("ada", "192.0.2.1")
    second = await store.backends.create("ada", "192.0.2.2")
    await store.backends.seen({first.id: "198.51.100.7", "removed": "198.51.100.8"}, clock.now + 9)
    await store.backends.seen({}, clock.now + 99)
    found = {backend.id: backend for backend in await store.search.page(Sought(), None, 9)}
    assert (found[first.id].last_seen, found[first.id].address) == (clock.now + 9, "198.51.100.7")
    assert found[second.id] == second


async def test_a_removed_backend_takes_what_is_its_own_along(store: Store, clock: FakeClock) -> None:
    backend = await store.backends.create("ada", "192.0.2.1")
    other = await store.backends.create("ada", "192.0.2.2")
    token = await store.tokens.issue(BACKEND, backend.id, 60, clock.now)
    others = await store.tokens.issue(BACKEND, other.id, 60, clock.now)
    run = await add_run(store, backend.id)
    await store.leases.claim(backend.id, "wireguard", Pool("10.0.0.0/24", "fd00::/64"))
    assert await store.tokens.lookup(token, BACKEND, clock.now) is not None
    assert await store.backends.remove(backend.id) is True
    assert await store.backends.get(backend.id) is None
    assert await store.tokens.lookup(token, BACKEND, clock.now) is None
    assert await store.runs.get(run.id) is None
    assert await store.leases.get(backend.id, "wireguard") is None
    assert await store.tokens.lookup(others, BACKEND, clock.now) is not None
    assert await store.backends.remove(backend.id) is False
    with pytest.raises(NotFoundError):
        await store.leases.claim(backend.id, "wireguard", Pool("10.0.0.0/24", "fd00::/64"))


async def test_what_is_told_again_is_not_written_again(store: Store) -> None:
    backend = await store.backends.create("ada", "192.0.2.1")
    assert await store.backends.set_facts(backend.id, FACTS) is True
    assert await store.backends.set_facts(backend.id, FACTS) is False


async def test_labels_are_found_as_they_are_in_effect(store: Store) -> None:
    backend = await store.backends.create("ada", "192.0.2.1")
    await store.backends.set_facts(backend.id, FACTS)

    async def found(name: str, value: str) -> bool:
        return bool(await store.search.page(Sought(labels=((name, value),)), None, 9))

    assert await found("site", "Zürich")
    await store.backends.change(backend.id, Change(labels={"site": "Bern", "tier": "1"}))
    assert (await found("site", "Zürich"), await found("site", "Bern")) == (False, True)
    other = AgentFacts(name="w", hostname="h", os="o", kernel="k", arch="a", agent_version="v", boot_id="b")
    await store.backends.set_facts(backend.id, other)
    assert (await found("odd", FACTS.labels["odd"]), await found("tier", "1")) == (False, True)
    await store.backends.change(backend.id, Change(labels={"site": None, "tier": None}))
    assert not await found("tier", "1")
    await store.backends.change(backend.id, Change(labels={"tier": "2"}))
    assert await store.backends.remove(backend.id)
    assert not await found("tier", "2")


async def test_what_is_not_seen_is_not_found(store: Store) -> None:
    north, south = [(await store.backends.create("ada", "192.0.2.1")).id for _ in range(2)]
    for backend, site in ((north, "north"), (south, "south")):
        await store.backends.change(backend, Change(name=f"web-{site}", labels={"site": site}))
    sees_north = Sight(labels=(("site", "north"),))
    assert [each.id for each in await store.backends.find(north, sees_north)] == [north]
    assert [each.id for each in await store.backends.find("web-north", sees_north)] == [north]
    assert await store.backends.find(south, sees_north) == []
    assert await store.backends.find("web-south", sees_north) == []
    assert await store.backends.visible([north, south, "none"], sees_north) == {north}
    assert [each.id for each in await store.search.page(Sought(), None, 9, sees_north)] == [north]
    for sight, expected in (
        (Sight(backends=(south,)), [south]),
        (Sight(backends=()), []),
        (Sight(labels=(("site", "north"),), backends=(south,)), []),
        (Sight(labels=(("site", "north"), ("site", "south"))), []),
    ):
        assert [each.id for each in await store.search.page(Sought(), None, 9, sight)] == expected
        seen = {north: {"site": "north"}, south: {"site": "south"}}
        assert [backend for backend, labels in seen.items() if sight.sees(backend, labels)] == expected


async def test_a_backend_whose_token_is_revoked_stays(store: Store, clock: FakeClock) -> None:
    backend = await store.backends.create("ada", "192.0.2.1")
    token = await store.tokens.issue(BACKEND, backend.id, 1000, clock.now)
    lease = await store.leases.claim(backend.id, "wireguard", Pool("10.0.0.0/24", "fd00::/64"))
    assert lease.revoked_at is None
    assert await store.backends.revoke(backend.id)
    assert await store.tokens.lookup(token, BACKEND, clock.now) is None
    clock.now += 10
    assert await store.backends.revoke(backend.id)
    found = await store.backends.get(backend.id)
    assert found is not None
    assert found.revoked_at == clock.now - 10
    kept = await store.leases.get(backend.id, "wireguard")
    assert kept is not None
    assert (kept.address4, kept.revoked_at) == (lease.address4, clock.now - 10)
    assert not await store.backends.revoke("none")
