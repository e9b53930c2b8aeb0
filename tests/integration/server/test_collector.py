"""Samples from a push to the store, with a whole server and a backend that speaks by hand."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.server import Client, Door, door
from quix.server.settings import TelemetrySettings
from quix.store.samples import unpack_raw
from quix.store.tokens import BACKEND
from quix.wire.samples import LARGEST_PUSH, METRICS

OFFER: dict[str, Any] = {"extensions": {"agent": 1, "telemetry": 1}}


def sample(seq: int, ago: float = 0.0, **metrics: float) -> dict[str, Any]:
    return {"seq": seq, "at": round(time.time() - ago, 3), "cpu": 0.5, **metrics}


def push(*samples: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"series": "s", "samples": [*samples], **more}


async def enroll(here: Door, client: Client) -> str:
    assert (await client.enroll(**OFFER))["extensions"] == OFFER["extensions"]
    (session,) = here.control.fleet
    return session.backend_id


async def kept(here: Door, backend_id: str) -> list[float]:
    """When the samples that are in the store were taken."""
    rows = await here.control.store.samples.raw(backend_id, 0, 2.0**40)
    return sorted(at for at, _ in unpack_raw(rows))


async def shown(here: Door, backend_id: str, span: float = 1000, points: int = 5000) -> list[float]:
    """When the points of a history lie."""
    end = time.time() + 1
    found = await here.control.history.read(backend_id, end - span, end, points, ["cpu"])
    return [point[0] for point in found.series["cpu"]]


async def test_a_sample_is_seen_at_once_and_acknowledged_when_it_is_written(tmp_path: Path) -> None:
    async with door(tmp_path) as here, here.client(extend=True) as client:
        backend_id = await enroll(here, client)
        one = sample(1)
        answer = await client.ask("push_samples", push(one))
        assert answer == {"result": "success", "kept": 0, "interval": 10.0, "room": 1}
        assert await shown(here, backend_id) == [one["at"]]
        assert await kept(here, backend_id) == []
        load = here.control.collector.load(backend_id)
        assert load is not None
        assert (load.at, load.cpu) == (one["at"], 0.5)
        await here.control.collector.flush()
        assert await kept(here, backend_id) == await shown(here, backend_id) == [one["at"]]
        assert (await client.ask("push_samples", push()))["kept"] == 1


async def test_what_was_not_acknowledged_is_sent_again_and_counted_once(tmp_path: Path) -> None:
    samples = [sample(seq, 100 - seq) for seq in range(1, 8)]
    async with door(tmp_path) as here, here.client(extend=True) as client:
        backend_id = await enroll(here, client)
        token = (await client.ask("renew_token", {}))["reason"]
        assert token == "request_unknown"
        await client.ask("push_samples", push(*samples[:4]))
    # The server ends, and writes what it has. What it said of that is lost on the way.
    async with door(tmp_path) as here:
        ((found, mark),) = (await here.control.store.samples.marks()).items()
        assert (found, mark) == (backend_id, ("s", 4))
        assert len(await kept(here, backend_id)) == 4
        async with resumed(here, backend_id) as client:
            await client.ask("push_samples", push(*samples))
            assert await shown(here, backend_id) == [each["at"] for each in samples]
            await here.control.collector.flush()
            assert await kept(here, backend_id) == [each["at"] for each in samples]


@asynccontextmanager
async def resumed(here: Door, backend_id: str) -> AsyncIterator[Client]:
    """A client that is the backend again, by a token of its own."""
    token = await here.control.store.tokens.issue(BACKEND, backend_id, 3600, time.time())
    async with here.client(extend=True) as client:
        assert (await client.resume(token, **OFFER))["success"] is True
        yield client


async def test_a_backend_that_was_away_is_given_room_and_fills_in_in_order(tmp_path: Path) -> None:
    async with door(tmp_path) as here, here.client(extend=True) as client:
        backend_id = await enroll(here, client)
        samples = [sample(seq, 7000 - 10 * seq) for seq in range(1, 701)]
        sent, room, pushes = 0, 1, 0
        while sent < len(samples):
            batch = samples[sent : sent + room]
            sent += len(batch)
            answer = await client.ask("push_samples", push(*batch, pending=len(samples) - sent, latest=samples[-1]))
            room, pushes = answer["room"], pushes + 1
            load = here.control.collector.load(backend_id)
            assert load is not None
            assert load.at == samples[-1]["at"], "how it is now is known from the start"
        assert pushes == 3, "one, as many as a push takes, and the rest"
        assert await shown(here, backend_id, 7100) == [each["at"] for each in samples]
        await here.control.collector.flush()
        assert await kept(here, backend_id) == [each["at"] for each in samples]


async def test_a_fleet_that_comes_back_is_given_room_by_turns(tmp_path: Path) -> None:
    async with door(tmp_path) as here, AsyncExitStack() as stack:
        fleet = [await stack.enter_async_context(here.client(extend=True)) for _ in range(12)]
        for client in fleet:
            assert (await client.enroll(**OFFER))["success"] is True
        began = time.monotonic()
        granted = sum([(await client.ask("push_samples", push(pending=5000)))["room"] - 1 for client in fleet])
        assert granted <= 5000 * (1 + time.monotonic() - began)
        assert granted >= 4900


async def test_room_that_is_asked_for_and_not_used_does_not_add_up(tmp_path: Path) -> None:
    async with door(tmp_path) as here, here.client(extend=True) as client:
        backend_id = await enroll(here, client)
        rooms = {(await client.ask("push_samples", push(pending=5000)))["room"] for _ in range(40)}
        assert len(rooms) == 1, "it is the same room"
        (room,) = rooms
        assert 450 < room <= LARGEST_PUSH
        samples = [sample(seq, 7000 - seq) for seq in range(1, 2 * room)]
        assert (await client.ask("push_samples", push(*samples[:room])))["result"] == "success"
        assert (await client.ask("push_samples", push(*samples[room:])))["reason"] == "rate_limited"
        assert len(await shown(here, backend_id, 7100)) == room


@pytest.mark.parametrize(
    ("msg", "reason"),
    [
        (push(*[{"seq": seq, "at": 1.0} for seq in range(1, 12)]), "rate_limited"),
        (push({"seq": 2, "at": 1.0}, {"seq": 1, "at": 1.0}), "request_invalid"),
        (push(*[{"seq": seq, "at": 1.0} for seq in range(1, 502)]), "request_invalid"),
        (push({"seq": 1, "at": 1.0, "cpu": 1.5}), "request_invalid"),
        (push({"seq": 1, "at": 1.0, "disk_used": -1}), "request_invalid"),
        (push({"seq": 1, "at": 1.0, "disk_used": 1e300}), "request_invalid"),
        (push({"seq": 1}), "request_invalid"),
        ({"series": "no spaces", "samples": []}, "request_invalid"),
    ],
)
async def test_what_is_refused(tmp_path: Path, msg: Any, reason: str) -> None:
    async with door(tmp_path) as here, here.client(extend=True) as client:
        backend_id = await enroll(here, client)
        assert (await client.ask("push_samples", msg))["reason"] == reason
        assert await shown(here, backend_id) == []


async def test_samples_of_another_age_are_dropped_and_not_wanted_again(tmp_path: Path) -> None:
    async with door(tmp_path) as here, here.client(extend=True) as client:
        backend_id = await enroll(here, client)
        await client.ask("push_samples", push(sample(1, 3e8), sample(2, -1000), sample(3)))
        await here.control.collector.flush()
        assert len(await kept(here, backend_id)) == 1
        assert (await client.ask("push_samples", push(sample(4, -3000))))["kept"] == 3
        load = here.control.collector.load(backend_id)
        assert load is not None
        assert load.at < time.time() + 1


async def test_without_the_extension_there_is_no_such_request(tmp_path: Path) -> None:
    async with door(tmp_path) as here, here.client(extend=True) as client:
        await client.enroll(extensions={"agent": 1})
        assert (await client.ask("push_samples", push(sample(1))))["reason"] == "request_unknown"


async def test_a_removed_backend_is_forgotten(tmp_path: Path) -> None:
    async with door(tmp_path) as here, here.client(extend=True) as client:
        backend_id = await enroll(here, client)
        await client.ask("push_samples", push(sample(1)))
        await here.control.store.backends.remove(backend_id)
        here.control.collector.forget(backend_id)
        assert here.control.collector.load(backend_id) is None
        await here.control.collector.flush()
        assert await here.control.store.samples.marks() == {}


async def test_every_metric_comes_back(tmp_path: Path) -> None:
    values = dict(zip(METRICS, [0.25, 0.5, 1e9, 4e9, 2e11, 8e11, 0.75, 1250.5, 3.0, 0.75, 2.0], strict=True))
    async with door(tmp_path) as here, here.client(extend=True) as client:
        backend_id = await enroll(here, client)
        await client.ask("push_samples", push(sample(1, **values)))
        for _ in range(2):
            end = time.time() + 1
            for span, resolution in ((1000, "raw"), (10 * 3600, "minute"), (100 * 86400, "hour")):
                found = await here.control.history.read(backend_id, end - span, end, 300)
                assert found.resolution == resolution
                assert {name: points[0][1:] for name, points in found.series.items()} == {
                    name: (value,) * 3 for name, value in values.items()
                }
            await here.control.collector.flush()


async def test_history_is_whole_while_samples_are_written(tmp_path: Path) -> None:
    async with door(tmp_path) as here, here.client(extend=True) as client:
        backend_id = await enroll(here, client)
        track = here.control.collector.track
        for seq in range(1, 60):
            await client.ask("push_samples", push(sample(seq, 60 - seq)))
            found = track(backend_id)
            assert found is not None
            found.credit = 10
            writing = asyncio.create_task(here.control.collector.flush())
            end = time.time() + 1
            history = await here.control.history.read(backend_id, end - 86400, end, 10, ["cpu"])
            assert len(await shown(here, backend_id)) == seq
            assert history.resolution == "hour"
            await writing
        rows = await here.control.store.samples.rollups(backend_id, 3600, 0, 2.0**40)
        assert rows


async def test_a_backend_that_pushes_nothing_is_asked(tmp_path: Path) -> None:
    settings = TelemetrySettings(interval=0.2)
    async with door(tmp_path, telemetry=settings) as here, here.client() as client:
        await client.enroll()
        (session,) = here.control.fleet
        answers = [
            {"ttl_cpu_usage": [0.25, 0.75], "ttl_mem_usage": [1000, 500, 500], "disk_util": {"/dev/sda": [30, 70]}},
            {
                "ttl_cpu_usage": [10**400, -(10**400)],
                "ttl_mem_usage": [1],
                "disk_util": {"/dev/sda": [10**30, 5], "/dev/sdb": [-5]},
            },
            {},
        ]
        for data in answers:
            asked = await client.receive()
            assert asked["req"] == "telemetry"
            assert asked["msg"] == {"stat_types": ["ttl_cpu_usage", "ttl_mem_usage", "disk_util"]}
            await client.connection.send(f'{{"rid": {asked["rid"]}, "msg": {{"tele_data": {json.dumps(data)}}}}}')
        await client.receive()
        end = time.time() + 1
        found = (await here.control.history.read(session.backend_id, end - 100, end, 300)).series
        assert [point[2] for point in found["cpu"]] == [0.5, 0.5]
        assert [point[2] for point in found["cpu_busiest"]] == [0.75, 1.0]
        assert [point[2] for point in found["memory_used"]] == [1e9]
        assert [point[2] for point in found["memory_total"]] == [2e9]
        assert found["disk_fullest"][0][2] == 0.3
        assert found["net_sent"] == []
        times = [point[0] for point in found["cpu"]]
        assert times[1] - times[0] >= 0.1


async def test_a_backend_that_does_not_answer_holds_nobody_up(tmp_path: Path) -> None:
    settings = TelemetrySettings(interval=0.2)
    async with door(tmp_path, telemetry=settings) as here, here.client() as silent, here.client() as client:
        await silent.enroll()
        await client.enroll()
        for _ in range(3):
            asked = await client.receive()
            await client.connection.send(f'{{"rid": {asked["rid"]}, "msg": {{"tele_data": {{}}}}}}')
