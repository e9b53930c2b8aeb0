"""Samples and roll-ups in a real database, against a naive model."""

from __future__ import annotations

import random

import pytest

from harness.store import FakeClock, OpenStore
from quix.store import Store
from quix.store.blocks import WIDTH
from quix.store.samples import HOUR, MINUTE, Batch, Look, Retention, unpack_raw, unpack_rollups

KEEP = Retention(raw=7200.0, minute=2 * 86400.0, hour=365 * 86400.0)
ALL = (0.0, 2.0**40)


def looks(start: float, count: int, interval: float = 10.0, first: int = 1) -> list[Look]:
    """Samples whose metrics say their own number."""
    return [(first + n, round(start + n * interval, 3), [float(first + n)] * WIDTH) for n in range(count)]


async def backend(store: Store) -> str:
    return (await store.backends.create("ada", "")).id


async def raw(store: Store, backend_id: str, start: float = ALL[0], end: float = ALL[1]) -> list[tuple[float, float]]:
    rows = await store.samples.raw(backend_id, start, end)
    return sorted((at, row[0]) for at, row in unpack_raw(rows))


async def rolled(store: Store, backend_id: str, step: int) -> dict[float, tuple[float, float, float, float]]:
    """Count, lowest, mean and highest of the first metric, by time."""
    rows = await store.samples.rollups(backend_id, step, *ALL)
    found = {at: (part[0], part[WIDTH], part[2 * WIDTH], part[3 * WIDTH]) for at, part in unpack_rollups(rows, step)}
    assert len(found) == len([*unpack_rollups(rows, step)]), "one roll-up for each time"
    return found


def naive(samples: list[Look], step: int) -> dict[float, tuple[float, float, float, float]]:
    groups: dict[float, list[float]] = {}
    for _, at, row in samples:
        groups.setdefault(at // step * step, []).append(row[0])
    return {at: (len(found), min(found), sum(found) / len(found), max(found)) for at, found in groups.items()}


def same(found: object, expected: dict[float, tuple[float, float, float, float]]) -> bool:
    return found == {at: pytest.approx(values, rel=1e-5) for at, values in expected.items()}


async def test_samples_are_kept_with_their_rollups(store: Store, clock: FakeClock) -> None:
    one, other = await backend(store), await backend(store)
    samples = looks(clock.now - 3000, 300)
    await store.samples.add([Batch(one, "s", samples), Batch(other, "s", samples[:7])], KEEP)
    assert await raw(store, one) == [(at, row[0]) for _, at, row in samples]
    assert await raw(store, other) == [(at, row[0]) for _, at, row in samples[:7]]
    for step in (MINUTE, HOUR):
        assert same(await rolled(store, one, step), naive(samples, step))


async def test_in_whatever_pieces_samples_come_their_rollups_are_the_same(store: Store, clock: FakeClock) -> None:
    chance = random.Random(7)
    one = await backend(store)
    samples = looks(clock.now - 9 * 3600, 3000, 10.5)
    clock.now += 60
    left = list(samples)
    while left:
        some, left = left[: (size := chance.randrange(1, 200))], left[size:]
        again = samples[max(0, some[0][0] - 1 - chance.randrange(50)) : some[-1][0]]
        await store.samples.add([Batch(one, "s", again)], KEEP)
    for step in (MINUTE, HOUR):
        assert same(await rolled(store, one, step), naive(samples, step))
    kept = [(at, row[0]) for _, at, row in samples if at >= clock.now - KEEP.raw]
    assert await raw(store, one) == kept, "what is too old for it is in roll-ups alone"


async def test_what_is_sent_again_after_its_samples_are_gone_is_not_counted_again(
    store: Store, clock: FakeClock
) -> None:
    one = await backend(store)
    samples = looks(clock.now - 30, 3)
    await store.samples.add([Batch(one, "s", samples)], KEEP)
    clock.now += 3 * 3600
    while await store.samples.purge(KEEP):
        pass
    assert await raw(store, one) == []
    late = [*samples, *looks(clock.now - 3 * 3600, 3, first=4)]
    await store.samples.add([Batch(one, "s", late)], KEEP)
    for step in (MINUTE, HOUR):
        assert same(await rolled(store, one, step), naive(late, step))


async def test_samples_without_numbers_are_all_new(store: Store, clock: FakeClock) -> None:
    one = await backend(store)
    await store.samples.add([Batch(one, "s", looks(clock.now - 60, 2))], KEEP)
    unnumbered: list[Look] = [(0, clock.now, [5.0] * WIDTH), (0, clock.now + 1, [6.0] * WIDTH)]
    await store.samples.add([Batch(one, "", unnumbered)], KEEP)
    assert [value for _, value in await raw(store, one)] == [1, 2, 5, 6]
    assert await store.samples.marks() == {one: ("s", 2)}


async def test_another_series_is_counted_from_its_own_begin(store: Store, clock: FakeClock) -> None:
    one = await backend(store)
    await store.samples.add([Batch(one, "s", looks(clock.now - 600, 9))], KEEP)
    await store.samples.add([Batch(one, "t", looks(clock.now - 100, 2))], KEEP)
    assert len(await raw(store, one)) == 11
    assert await store.samples.marks() == {one: ("t", 2)}


async def test_a_clock_that_was_set_back_loses_nothing(store: Store, clock: FakeClock) -> None:
    one = await backend(store)
    samples = [*looks(clock.now - 100, 5), *looks(clock.now - 1000, 5, first=6), *looks(clock.now - 50, 5, first=11)]
    await store.samples.add([Batch(one, "s", samples)], KEEP)
    assert await raw(store, one) == sorted((at, row[0]) for _, at, row in samples)
    assert same(await rolled(store, one, MINUTE), naive(samples, MINUTE))


async def test_a_removed_backend_keeps_no_others_out(store: Store, clock: FakeClock) -> None:
    one, other = await backend(store), await backend(store)
    await store.samples.add([Batch(one, "s", looks(clock.now, 3))], KEEP)
    assert await store.backends.remove(one)
    assert await raw(store, one) == []
    assert await store.samples.marks() == {}
    await store.samples.add([Batch(one, "s", looks(clock.now, 3)), Batch(other, "s", looks(clock.now, 3))], KEEP)
    assert len(await raw(store, other)) == 3


async def test_everything_is_kept_for_as_long_as_it_is_to_be(store: Store, clock: FakeClock) -> None:
    one = await backend(store)
    begin = clock.now
    await store.samples.add([Batch(one, "s", looks(begin, 10))], KEEP)
    for passed, expected in ((7000, (10, 2, 1)), (8000, (0, 2, 1)), (2.1 * 86400, (0, 0, 1)), (367 * 86400, (0, 0, 0))):
        clock.now = begin + passed
        while await store.samples.purge(KEEP):
            pass
        found = (len(await raw(store, one)), *[len(await rolled(store, one, step)) for step in (MINUTE, HOUR)])
        assert found == expected, passed


async def test_what_is_deleted_is_deleted_in_pieces(store: Store, clock: FakeClock) -> None:
    one = await backend(store)
    for number in range(3):
        # A sample each five minutes is a row of its own.
        samples = looks(clock.now, 500, 301.0, first=1 + 500 * number)
        clock.now += 500 * 301
        await store.samples.add([Batch(one, "s", samples)], Retention(raw=1e9, minute=1.0, hour=1.0))
    clock.now += 1e6
    keep = Retention(raw=1.0, minute=1e9, hour=1e9)
    assert [await store.samples.purge(keep) for _ in range(3)] == [1000, 500, 0]


async def test_only_what_lies_in_a_span_is_read(store: Store, clock: FakeClock) -> None:
    one = await backend(store)
    begin = clock.now
    clock.now += 5000
    await store.samples.add([Batch(one, "s", looks(begin, 500))], KEEP)
    rows = await store.samples.raw(one, begin + 1000, begin + 1100)
    assert 11 <= len([*unpack_raw(rows)]) <= 90
    assert {begin + 1000 + 10 * n for n in range(11)} <= {at for at, _ in unpack_raw(rows)}


async def test_two_processes_add_to_one_database(open_store: OpenStore, clock: FakeClock) -> None:
    first, second = await open_store(), await open_store()
    one, other = await backend(first), await backend(first)
    samples = looks(clock.now, 20)
    await first.samples.add([Batch(one, "s", samples)], KEEP)
    await second.samples.add([Batch(one, "s", samples), Batch(other, "s", samples)], KEEP)
    assert same(await rolled(first, one, HOUR), naive(samples, HOUR))
    assert same(await rolled(first, other, HOUR), naive(samples, HOUR))
