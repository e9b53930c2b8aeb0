"""The `telemetry` request, from its JSON to the answer's JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from quix.agent.disks import DiskMeter
from quix.agent.telemetry import TelemetrySource
from quix.link.router import Router
from quix.wire.reasons import Reason, Refusal

Ask = Callable[[Any], Awaitable[Any]]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Send the `msg` of a telemetry request through the router, and return the `msg` of the answer."""
    router: Router[None] = Router()
    TelemetrySource(tmp_path, DiskMeter()).register(router)

    async def do(msg: Any) -> Any:
        route = router.resolve("telemetry", {})
        answer = await route.handler(None, route.decode(msgspec.Raw(msgspec.json.encode(msg))))
        return msgspec.json.decode(msgspec.json.encode(answer))

    return do


async def test_all_that_the_seed_shows(ask: Ask) -> None:
    answer = await ask({"stat_types": ["ttl_cpu_usage", "ttl_mem_usage", "disk_util", "vpn_status"]})
    assert list(answer) == ["tele_data"]
    data = answer["tele_data"]
    assert list(data) == ["ttl_cpu_usage", "ttl_mem_usage", "disk_util", "vpn_status"]
    assert all(0 <= share <= 1 for share in data["ttl_cpu_usage"])
    assert all(type(amount) is int for amount in data["ttl_mem_usage"])
    for device, (used, free) in data["disk_util"].items():
        assert device.startswith("/dev/")
        assert type(used) is type(free) is int


@pytest.mark.parametrize("kind", ["ttl_cpu_usage", "ttl_mem_usage", "disk_util", "vpn_status"])
async def test_only_what_was_asked_for_is_in_the_answer(ask: Ask, kind: str) -> None:
    assert list((await ask({"stat_types": [kind]}))["tele_data"]) == [kind]


async def test_an_unknown_kind_is_left_out(ask: Ask) -> None:
    answer = await ask({"stat_types": ["temperature", "ttl_mem_usage", "ttl_mem_usage", "answer", "__init__"]})
    assert list(answer["tele_data"]) == ["ttl_mem_usage"]


async def test_nothing_asked_is_nothing_answered(ask: Ask) -> None:
    assert await ask({"stat_types": []}) == {"tele_data": {}}


@pytest.mark.parametrize("msg", [{}, {"stat_types": "disk_util"}, {"stat_types": [1]}, []])
async def test_a_request_of_the_wrong_shape_is_refused(ask: Ask, msg: Any) -> None:
    with pytest.raises(Refusal) as caught:
        await ask(msg)
    assert caught.value.reason is Reason.REQUEST_INVALID


async def test_memory_adds_up_to_all_there_is(ask: Ask) -> None:
    used, cache, free = (await ask({"stat_types": ["ttl_mem_usage"]}))["tele_data"]["ttl_mem_usage"]
    memory = psutil.virtual_memory()
    assert used + cache + free == pytest.approx(memory.total / 1e6, abs=2)
    assert used > 0
    # The machine goes on meanwhile.
    assert free == pytest.approx(memory.free / 1e6, abs=500)
    assert cache == pytest.approx((memory.buffers + memory.cached) / 1e6, abs=500)


async def test_many_at_a_time_are_all_answered(ask: Ask) -> None:
    msg = {"stat_types": ["ttl_cpu_usage", "ttl_mem_usage", "disk_util", "vpn_status"]}
    answers = await asyncio.gather(*(ask(msg) for _ in range(30)))
    assert len({msgspec.json.encode(answer["tele_data"]["ttl_cpu_usage"]) for answer in answers}) == 1
    assert all(len(answer["tele_data"]) == 4 for answer in answers)
