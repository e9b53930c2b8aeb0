"""The ring of events and its readers."""

from __future__ import annotations

import asyncio
import json

import pytest

from quix.server.events import Event, Hub, Kind, Reader, frame


def kinds(reader: Reader) -> list[tuple[str, str]]:
    return [(kept.event.kind.value, kept.event.backend_id) for kept in reader.take()]


async def test_a_reader_takes_what_happened_since_it_began() -> None:
    hub = Hub()
    hub.publish(Kind.RUN_STARTED, "b0")
    reader = hub.read()
    assert kinds(reader) == []
    hub.publish(Kind.RUN_STARTED, "b1", run="r1")
    hub.publish(Kind.RUN_ENDED, "b1", run="r1")
    assert kinds(reader) == [("run_started", "b1"), ("run_ended", "b1")]
    assert kinds(reader) == []


async def test_ids_grow_and_are_above_those_of_the_time_before() -> None:
    old, new = Hub(lambda: 1_000_000.0), Hub(lambda: 1_000_001.0)
    for hub in (old, new):
        for _ in range(3):
            hub.publish(Kind.RUN_CHANGED, "b1")
    ids = [kept.event.id for hub in (old, new) for kept in hub.after(0)]
    assert ids == sorted(set(ids))
    assert len(ids) == 6
    assert max(ids) < 2**53


async def test_a_reader_goes_on_where_it_was() -> None:
    hub = Hub()
    reader = hub.read()
    hub.publish(Kind.RUN_STARTED, "b1")
    (seen,) = reader.take()
    hub.publish(Kind.RUN_ENDED, "b1")
    again = hub.read(seen.event.id)
    assert not again.is_late
    assert kinds(again) == [("run_ended", "b1")]


async def test_a_reader_that_the_ring_has_left_behind_is_late() -> None:
    hub = Hub(ring=3)
    first = hub.read()
    place = hub.newest
    for _ in range(3):
        hub.publish(Kind.RUN_CHANGED, "b1")
    assert not hub.read(place).is_late
    hub.publish(Kind.RUN_CHANGED, "b1")
    assert first.is_late
    assert hub.read(place).is_late
    assert not hub.read(place + 1).is_late
    told, is_late = first.skip(), first.is_late
    assert (told.kind, told.id) == (Kind.RESET, hub.newest)
    assert (is_late, kinds(first)) == (False, [])


@pytest.mark.parametrize("away", [-1, 1])
async def test_a_place_of_another_time_is_late(away: int) -> None:
    hub = Hub()
    assert hub.read(hub.newest + away).is_late


async def test_of_a_backends_presence_the_last_is_kept() -> None:
    hub = Hub(ring=10)
    reader = hub.read()
    hub.publish(Kind.RUN_STARTED, "b1")
    for _ in range(100):
        hub.publish(Kind.BACKEND_DISCONNECTED, "b1")
        hub.publish(Kind.BACKEND_CONNECTED, "b1")
    hub.publish(Kind.BACKEND_DISCONNECTED, "b2")
    assert not reader.is_late
    assert kinds(reader) == [("run_started", "b1"), ("backend_connected", "b1"), ("backend_disconnected", "b2")]


async def test_the_ring_stays_as_large_as_it_is() -> None:
    hub = Hub(ring=100)
    for n in range(1000):
        hub.publish(Kind.BACKEND_CONNECTED, f"b{n}")
        hub.publish(Kind.RUN_CHANGED, f"b{n}")
    assert len(hub.after(0)) == len(hub._kept) == 100
    assert len(hub._slots) <= 100


async def test_readers_wake_up_once_for_many_events() -> None:
    hub = Hub()
    readers = [hub.read() for _ in range(5)]
    waiting = [asyncio.create_task(reader.wait(30)) for reader in readers]
    await asyncio.sleep(0)
    for n in range(500):
        hub.publish(Kind.RUN_CHANGED, f"b{n}")
    async with asyncio.timeout(10):
        await asyncio.gather(*waiting)
    assert [len(reader.take()) for reader in readers] == [500] * 5


async def test_waiting_ends_without_an_event() -> None:
    reader = Hub().read()
    async with asyncio.timeout(10):
        await reader.wait(0.01)
    assert kinds(reader) == []


async def test_readers_of_a_door_that_closes_are_over() -> None:
    hub = Hub()
    reader = hub.read()
    waiting = asyncio.create_task(reader.wait(30))
    await asyncio.sleep(0)
    hub.dismiss()
    async with asyncio.timeout(10):
        await waiting
    assert reader.is_over
    assert not hub.read().is_over


def test_a_frame_is_one_event() -> None:
    event = Event(7, 1.5, Kind.RUN_ENDED, "b1", {"outcome": "a\nb\n\nevent: c"})
    lines = frame(event).decode().split("\n")
    assert lines[:2] == ["id: 7", "event: run_ended"]
    assert json.loads(lines[2].removeprefix("data: "))["data"] == {"outcome": "a\nb\n\nevent: c"}
    assert lines[3:] == ["", ""]
