"""Telemetry over REST, with a backend that answers by hand."""

from __future__ import annotations

import time
from typing import Any

import pytest

from harness.api import Place, problem
from quix.store.users import Role
from quix.wire.samples import METRICS, Sample

DATA = {
    "ttl_cpu_usage": [0.1, 0.11, 0.02, 0.01],
    "ttl_mem_usage": [128, 1000, 412],
    "disk_util": {"/dev/sda": [195739194, 8185749375], "/dev/sdb": [185844831, 8187395730]},
    "vpn_status": {
        "ifname": "wg0", "conn_type": "wireguard", "conn_host": "th1.s.quix.click",
        "conn_ip4": "10.8.0.120", "conn_ip6": "fe80::1",
    },
}  # fmt: skip
"""The seed's own example."""


def machine(_req: str, msg: Any) -> Any:
    return {"tele_data": {name: DATA[name] for name in msg["stat_types"]}}


async def test_everything_is_measured_unless_told_otherwise(there: Place) -> None:
    viewer = await there.login(Role.VIEWER)
    async with there.agent(machine, "web-1") as agent:
        answer = await viewer.get("/backends/web-1/telemetry")
        assert answer.status_code == 200
        assert answer.json() == DATA
        assert agent.asked == [("telemetry", {"stat_types": list(DATA)})]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("disk_util", ["disk_util"]),
        ("vpn_status,ttl_cpu_usage", ["vpn_status", "ttl_cpu_usage"]),
        ("disk_util,disk_util", ["disk_util"]),
        ("disk_util, vpn_status", ["disk_util", "vpn_status"]),
    ],
)
async def test_only_what_is_asked_for_is_measured(there: Place, query: str, names: list[str]) -> None:
    viewer = await there.login(Role.VIEWER)
    async with there.agent(machine, "web-1") as agent:
        answer = await viewer.get("/backends/web-1/telemetry", params={"stat_types": query})
        assert answer.json() == {name: DATA[name] for name in names}
        assert agent.asked == [("telemetry", {"stat_types": names})]


async def test_what_the_backend_does_not_know_is_left_out_and_no_vpn_is_null(there: Place) -> None:
    viewer = await there.login(Role.VIEWER)
    async with there.agent(lambda _req, _msg: {"tele_data": {"vpn_status": None}}, "web-1"):
        assert (await viewer.get("/backends/web-1/telemetry")).json() == {"vpn_status": None}


@pytest.mark.parametrize("query", ["", "temperature", "disk_util,", "disk_util;vpn_status"])
async def test_a_kind_that_there_is_not_is_named(there: Place, query: str) -> None:
    viewer = await there.login(Role.VIEWER)
    async with there.agent(machine, "web-1") as agent:
        answer = await viewer.get("/backends/web-1/telemetry", params={"stat_types": query})
        assert problem(answer) == (400, "request_invalid")
        assert answer.json()["detail"].startswith("stat_types: ")
        assert agent.asked == []


# -- history ------------------------------------------------------------------------------------


def fill(there: Place, backend_id: str, count: int) -> float:
    """Let a backend have samples, each second one until now; return when the last was taken."""
    now = round(time.time(), 3)
    for number in range(count):
        at = round(now - count + 1 + number, 3)
        there.control.collector.add(backend_id, Sample(at=at, cpu=number / count, load=float(number)))
    return now


async def test_history_gives_a_point_for_each_sample_where_there_are_few(there: Place) -> None:
    viewer = await there.login(Role.VIEWER)
    async with there.agent(machine, "web-1") as agent:
        now = fill(there, agent.id, 10)
        answer = (await viewer.get("/backends/web-1/telemetry/history", params={"metrics": "cpu, load"})).json()
        assert (answer["resolution"], answer["step"]) == ("raw", 0)
        assert answer["to"] - answer["from"] == pytest.approx(3600)
        assert list(answer["series"]) == ["cpu", "load"]
        assert answer["series"]["load"] == [[round(now - 9 + n, 3), n, n, n] for n in range(10)]
        everything = (await viewer.get("/backends/web-1/telemetry/history")).json()["series"]
        assert list(everything) == list(METRICS)
        assert everything["net_sent"] == []


@pytest.mark.parametrize("span", [900, 86400, 30 * 86400])
@pytest.mark.parametrize("points", [1, 7, 50])
async def test_history_has_no_more_points_than_asked_for_and_all_that_was_sampled(
    there: Place, span: int, points: int
) -> None:
    viewer = await there.login(Role.VIEWER)
    async with there.agent(machine, "web-1") as agent:
        now = fill(there, agent.id, 600)
        query: dict[str, str | float] = {"from": now - span, "to": now, "points": points, "metrics": "load"}
        answer = (await viewer.get(f"/backends/{agent.id}/telemetry/history", params=query)).json()
        found = answer["series"]["load"]
        assert 1 <= len(found) <= max(points, 2)
        assert all(low <= mean <= high for _, low, mean, high in found)
        assert (min(point[1] for point in found), max(point[3] for point in found)) == (0, 599)
        assert [point[0] for point in found] == sorted(point[0] for point in found)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"metrics": "mood"}, "metrics"),
        ({"metrics": ""}, "metrics"),
        ({"points": "0"}, "points"),
        ({"points": "5001"}, "points"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2", "to": "1"}, "from"),
        ({"from": "nan"}, "from"),
        ({"to": "inf"}, "to"),
        ({"from": "-1e300", "to": "1e300"}, "from"),
    ],
)
async def test_a_query_that_makes_no_sense_is_named(there: Place, query: dict[str, str], field: str) -> None:
    viewer = await there.login(Role.VIEWER)
    async with there.agent(machine, "web-1"):
        answer = await viewer.get("/backends/web-1/telemetry/history", params=query)
        assert problem(answer) == (400, "request_invalid")
        assert answer.json()["detail"].startswith(f"{field}: ")


async def test_load_is_with_each_backend(there: Place) -> None:
    viewer = await there.login(Role.VIEWER)
    async with there.agent(machine, "web-1") as agent:
        assert (await viewer.get("/backends")).json()["items"][0]["load"] is None
        now = fill(there, agent.id, 4)
        load = {"at": now, "cpu": 0.75, "memory": None, "disk": None}
        assert (await viewer.get("/backends")).json()["items"][0]["load"] == load
        recent = {"cpu": [0, 0.25, 0.5, 0.75], "memory": [None] * 4, "disk": [None] * 4}
        assert (await viewer.get("/backends?recent=true")).json()["items"][0]["load"] == load | {"recent": recent}
        assert (await viewer.get("/backends/web-1")).json()["load"] == load | {"recent": recent}
