"""Telemetry of a real agent, held against what the machine itself says."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from acceptance.house import Rest


def memory() -> tuple[float, float]:
    """Return the machine's memory, and what is free of it, in MB."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(lines[name].split()[0]) * 1024 / 10**6 for name in ("MemTotal", "MemFree"))
    return total, free


def test_telemetry_is_what_the_machine_says(rest: Rest, machine: str) -> None:
    total, before = memory()
    data = rest.get(f"/backends/{machine}/telemetry")
    _, after = memory()
    assert len(data["ttl_cpu_usage"]) == os.cpu_count()
    assert all(0 <= share <= 1 and round(share, 2) == share for share in data["ttl_cpu_usage"])
    assert abs(sum(data["ttl_mem_usage"]) - total) < 2
    assert min(before, after) - 300 < data["ttl_mem_usage"][2] < max(before, after) + 300
    assert data["vpn_status"] is None
    root = Path("/").stat()
    for device, (used, unused) in data["disk_util"].items():
        if Path(device).exists() and Path(device).stat().st_rdev == root.st_dev:
            usage = os.statvfs("/")
            assert abs(unused - usage.f_bavail * usage.f_frsize) < 10**9
            assert abs(used - (usage.f_blocks - usage.f_bfree) * usage.f_frsize) < 10**9
            break
    else:
        pytest.fail(f"the root file system is not among {data['disk_util']}")


def test_a_busy_core_shows(rest: Rest, machine: str) -> None:
    rest.get(f"/backends/{machine}/telemetry?stat_types=ttl_cpu_usage")
    pid = rest.execute(machine, "sh", "-c", "while :; do :; done")
    time.sleep(1)
    rest.get(f"/backends/{machine}/telemetry?stat_types=ttl_cpu_usage")
    time.sleep(1)
    data = rest.get(f"/backends/{machine}/telemetry?stat_types=ttl_cpu_usage")
    assert sum(data["ttl_cpu_usage"]) > 0.7
    rest.signal(machine, pid, "SIGKILL")


def test_only_what_is_asked_for_is_measured(rest: Rest, machine: str) -> None:
    for kind in ("ttl_cpu_usage", "ttl_mem_usage", "disk_util", "vpn_status"):
        assert set(rest.get(f"/backends/{machine}/telemetry?stat_types={kind}")) == {kind}
    answer = rest.call("GET", f"/backends/{machine}/telemetry?stat_types=moon_phase")
    assert (answer.status_code, answer.json()["reason"]) == (400, "request_invalid")
