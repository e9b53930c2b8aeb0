"""Telemetry over REST, with a backend that answers by hand."""

from __future__ import annotations

from typing import Any

import pytest

from harness.api import Place, problem
from quix.store.users import Role

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
