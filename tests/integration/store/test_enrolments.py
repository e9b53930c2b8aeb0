"""Enrolment keys of the store."""

from __future__ import annotations

import asyncio

import pytest

from harness.store import FakeClock, OpenStore
from quix.store import Store
from quix.store.actions import Action
from quix.store.audit import Entry, Wanted
from quix.store.enrolments import Enrolment
from quix.store.errors import EnrolmentOverError
from quix.store.search import Sought


async def added(store: Store, uses: int = 1, **labels: str) -> Enrolment:
    key = store.enrolments.new("ada", 60, uses, labels)
    await store.enrolments.add(key)
    return key


async def used(store: Store, key: Enrolment) -> int:
    found = await store.enrolments.named(key.name)
    assert found is not None
    return found.used


async def test_a_key_is_found_by_name_and_known_by_its_secret(store: Store) -> None:
    key = store.enrolments.new("ada", 60, 3, {"site": "north"})
    secret = await store.enrolments.add(key)
    assert await store.enrolments.named(key.name) == key
    assert await store.enrolments.is_secret(key, secret) is True
    for wrong in ("", secret[:-1], secret + "x", "\udcff"):
        assert await store.enrolments.is_secret(key, wrong) is False
    assert secret not in repr(key)


async def test_a_backend_takes_a_use_and_gets_the_labels(store: Store) -> None:
    key = await added(store, site="north")
    backend = await store.backends.create(key.name, "192.0.2.1", key=key)
    assert (backend.enrolled_by, backend.labels) == (key.name, {"site": "north"})
    (found,) = await store.search.page(Sought(labels=(("site", "north"),)), None, 10)
    assert found.given_labels == {"site": "north"}
    assert await used(store, key) == 1


async def test_what_takes_no_use_makes_no_backend(store: Store, clock: FakeClock) -> None:
    spent, late, ended = await added(store), await added(store), await added(store)
    await store.backends.create(spent.name, "192.0.2.1", key=spent)
    await store.enrolments.end(ended.id)
    for key in (spent, ended):
        with pytest.raises(EnrolmentOverError):
            await store.backends.create(key.name, "192.0.2.1", key=key)
    clock.now += 60
    with pytest.raises(EnrolmentOverError):
        await store.backends.create(late.name, "192.0.2.1", key=late)
    assert len(await store.search.page(Sought(), None, 10)) == 1


async def test_machines_that_come_at_once_share_no_use(store: Store, open_store: OpenStore) -> None:
    key = await added(store, uses=3)
    # As many processes as would be beside one another at most, each with connections of its own.
    stores = [store, await open_store()]
    tries = [stores[number % 2].backends.create(key.name, "192.0.2.1", key=key) for number in range(10)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(each, EnrolmentOverError) for each in done) == 7, done
    assert len(await store.search.page(Sought(), None, 100)) == 3
    assert await used(store, key) == 3


async def test_a_backend_that_left_too_early_gives_its_use_back(store: Store) -> None:
    key = await added(store)
    backend = await store.backends.create(key.name, "192.0.2.1", key=key)
    for _ in range(2):
        await store.backends.remove(backend.id, key=key)
        assert await used(store, key) == 0


async def test_a_backend_that_is_removed_later_does_not(store: Store) -> None:
    key = await added(store)
    backend = await store.backends.create(key.name, "192.0.2.1", key=key)
    await store.backends.remove(backend.id)
    assert await used(store, key) == 1


async def test_pages_follow_one_another_and_leave_out_what_is_over(store: Store, clock: FakeClock) -> None:
    over = await added(store)
    clock.now += 59
    keys = [await added(store) for _ in range(3)]
    clock.now += 1
    first = await store.enrolments.page(None, 2)
    assert first + await store.enrolments.page(first[-1].id, 2) == sorted(keys, key=lambda key: key.id)
    assert await store.enrolments.end(over.id) is False
    assert await store.enrolments.purge(clock.now) == 1
    assert await store.enrolments.named(over.name) is None
    assert await store.enrolments.named(keys[0].name) == keys[0]


async def test_making_and_ending_a_key_are_in_the_audit_with_it(store: Store) -> None:
    key = store.enrolments.new("ada", 60, 1, {})
    await store.enrolments.add(key, Entry(action=Action.ENROLMENT_ADDED, target=key.id))
    entry = Entry(action=Action.ENROLMENT_ENDED, target=key.id)
    assert [await store.enrolments.end(key.id, entry) for _ in range(2)] == [True, False]
    rows = await store.audit.newest(Wanted(), None, 10)
    assert [(row.action, row.target) for row in rows] == [("enrolment_ended", key.id), ("enrolment_added", key.id)]
