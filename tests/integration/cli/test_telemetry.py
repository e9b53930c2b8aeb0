"""`quix telemetry`."""

from __future__ import annotations

from typing import Any

from harness.api import Place
from harness.cli import Shell
from quix.exits import Exit

DATA = {
    "ttl_cpu_usage": [0.10, 0.11, 0.02, 0.01],
    "ttl_mem_usage": [128, 1000, 412],
    "disk_util": {"/dev/sda": [195739194, 8185749375], "/dev/sdb": [185844831, 8187395730]},
    "vpn_status": {
        "ifname": "wg0", "conn_type": "wireguard", "conn_host": "th1.s.quix.click", "conn_ip4": "10.8.0.120",
        "conn_ip6": "fe80::1",
    },
}  # fmt: skip


def machine(_req: str, msg: Any) -> Any:
    """The seed's own example."""
    return {"tele_data": {name: DATA[name] for name in msg["stat_types"] if name in DATA}}


async def test_everything(there: Place, shell: Shell) -> None:
    async with there.agent(machine, "web-1"):
        assert (await shell.quix("telemetry", "web-1")).out.splitlines() == [
            "cpu     10%  11%  2%  1%",
            "memory  used 128 MB, buffers and cache 1.0 GB, free 412 MB",
            "disk    /dev/sda: 2% of 8.4 GB used, 8.2 GB free",
            "disk    /dev/sdb: 2% of 8.4 GB used, 8.2 GB free",
            "vpn     wg0 (wireguard) 10.8.0.120 fe80::1 to th1.s.quix.click",
        ]
        assert (await shell.quix("telemetry", "--json", "web-1")).json == DATA


async def test_what_was_chosen(there: Place, shell: Shell) -> None:
    async with there.agent(machine, "web-1") as agent:
        args = ("--stat", "disk_util", "--stat", "ttl_cpu_usage", "--json")
        assert list((await shell.quix("telemetry", *args, "web-1")).json) == ["ttl_cpu_usage", "disk_util"]
        assert agent.asked == [("telemetry", {"stat_types": ["disk_util", "ttl_cpu_usage"]})]


async def test_unknown_type(there: Place, shell: Shell) -> None:
    async with there.agent(machine, "web-1"):
        result = await shell.quix("telemetry", "--stat", "mood", "web-1")
        assert result.complaint.startswith("request_invalid: stat_types: 'mood' is none of ")
        assert result.code == Exit.DATA
