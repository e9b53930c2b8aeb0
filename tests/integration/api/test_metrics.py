"""The fleet as Prometheus reads it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from harness.api import Place, problem
from quix.store.backends import Change
from quix.store.users import Role
from quix.wire.samples import Sample

SAMPLE = Sample(
    at=1.75e9, cpu=0.25, cpu_busiest=0.5, memory_used=1e9, memory_total=4e9, disk_used=3e9, disk_total=1e10,
    disk_fullest=0.75, net_received=100.0, net_sent=50.0, load=1.5, runs=2.0,
)  # fmt: skip


def families(text: str) -> Iterable[Metric]:
    found: Iterable[Metric] = text_string_to_metric_families(text)
    return found


def values(text: str) -> dict[str, dict[str, float]]:
    """What each metric says of each backend, by name."""
    return {
        family.name: {sample.labels["name"]: sample.value for sample in family.samples} for family in families(text)
    }


async def scrape(client: httpx.AsyncClient, query: str = "") -> str:
    answer = await client.get(f"/metrics{query}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text


async def test_it_says_what_the_newest_sample_says(there: Place) -> None:
    viewer = await there.login(Role.VIEWER)
    async with there.agent(lambda _req, _msg: None, "web-1") as agent:
        there.control.collector.add(agent.id, SAMPLE)
        found = values(await scrape(viewer))
    seen = found.pop("quix_backend_seen_timestamp_seconds")["web-1"]
    assert abs(seen - time.time()) < 60
    assert {name.removeprefix("quix_backend_"): each["web-1"] for name, each in found.items()} == {
        "info": 1, "labels": 1, "up": 1, "sample_timestamp_seconds": 1.75e9,
        "cpu_busy_ratio": 0.25, "cpu_busiest_core_ratio": 0.5, "memory_used_bytes": 1e9, "memory_size_bytes": 4e9,
        "disk_used_bytes": 3e9, "disk_size_bytes": 1e10, "disk_fullest_ratio": 0.75,
        "network_receive_bytes_per_second": 100, "network_transmit_bytes_per_second": 50, "load1": 1.5, "runs": 2,
    }  # fmt: skip


async def test_a_backend_that_is_away_is_down_and_says_nothing_else(there: Place) -> None:
    viewer = await there.login(Role.VIEWER)
    async with there.agent(lambda _req, _msg: None, "web-1") as agent:
        there.control.collector.add(agent.id, SAMPLE)
    found = values(await scrape(viewer))
    assert found.pop("quix_backend_up") == {"web-1": 0}
    assert {name for name, each in found.items() if each} == {
        "quix_backend_info", "quix_backend_labels", "quix_backend_seen_timestamp_seconds",
    }  # fmt: skip


async def test_what_a_sample_does_not_tell_has_no_line(there: Place) -> None:
    viewer = await there.login(Role.VIEWER)
    async with there.agent(lambda _req, _msg: None, "web-1") as agent:
        there.control.collector.add(agent.id, Sample(at=1.75e9, cpu=0.0))
        found = values(await scrape(viewer))
    assert found["quix_backend_cpu_busy_ratio"] == {"web-1": 0}
    assert found["quix_backend_load1"] == {}


async def test_hostile_names_and_labels_break_out_of_nothing(there: Place) -> None:
    viewer = await there.login(Role.VIEWER)
    name, value = 'a"} 1\\', 'x"\\,y="z{}'
    async with there.agent(lambda _req, _msg: None, name) as agent:
        given: dict[str, str | None] = {"site": value, "a-b": "one", "a.b": "two", 'c"d': "three"}
        await there.control.store.backends.change(agent.id, Change(labels=given))
        text = await scrape(viewer)
    labels = next(family for family in families(text) if family.name == "quix_backend_labels").samples
    assert [each.labels for each in labels] == [
        {"backend": agent.id, "name": name, "label_site": value, "label_a_b": "one", "label_c_d": "three"}
    ]
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


async def test_it_can_be_narrowed_and_shows_what_the_caller_sees(there: Place) -> None:
    viewer = await there.login(Role.VIEWER)
    async with there.agent(lambda _req, _msg: None, "web-1") as one, there.agent(lambda _req, _msg: None, "web-2"):
        await there.control.store.backends.change(one.id, Change(labels={"site": "south"}))
        assert set(values(await scrape(viewer))["quix_backend_up"]) == {"web-1", "web-2"}
        assert set(values(await scrape(viewer, "?label=site=south"))["quix_backend_up"]) == {"web-1"}
        body = {"name": "prometheus", "role": "viewer", "labels": {"site": "north"}}
        token = (await viewer.post("/tokens", json=body)).json()["token"]
        assert set(values(await scrape(await there.bearer(token)))["quix_backend_up"]) == {"web-2"}
        assert problem(await viewer.get("/metrics?label=site"))[1] == "request_invalid"


async def test_a_fleet_of_several_chunks_is_there_whole_and_without_the_revoked(
    there: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quix.api.metrics._CHUNK", 3)
    monkeypatch.setattr("quix.server.exposition._SLICE", 2)
    backends = there.control.store.backends
    made = [await backends.create("gate", "10.0.0.1", name=f"web-{number}") for number in range(7)]
    await backends.revoke(made[4].id)
    found = values(await scrape(await there.login(Role.VIEWER)))["quix_backend_up"]
    assert found == dict.fromkeys(["web-0", "web-1", "web-2", "web-3", "web-5", "web-6"], 0)


async def test_nobody_reads_it_without_a_login(there: Place) -> None:
    assert problem(await there.web.get("/api/v1/metrics")) == (401, "not_authenticated")
