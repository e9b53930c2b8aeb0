"""Which limits of a run become limits of its processes."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys

import msgspec
import pytest

from quix.supervisor.rlimits import rlimits
from quix.wire.runs import RunLimits

APPLY = """
import json, resource, sys
import msgspec
from quix.supervisor.rlimits import apply, rlimits
from quix.wire.runs import RunLimits
ceiling = json.loads(sys.argv[2])
if ceiling:
    resource.setrlimit(resource.RLIMIT_NOFILE, (ceiling, ceiling))
apply(rlimits(msgspec.json.decode(sys.argv[1], type=RunLimits), in_cgroup=False))
"""
SHOW = """
names = ("RLIMIT_NOFILE", "RLIMIT_FSIZE", "RLIMIT_CPU", "RLIMIT_AS")
print(json.dumps([resource.getrlimit(getattr(resource, name)) for name in names]))
"""
BURN = "while True: pass"
WRITE = """
import os, signal
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
with open(os.memfd_create("file"), "wb") as file:
    file.write(bytes(2**21))
"""


def applied(limits: RunLimits, then: str, ceiling: int = 0) -> subprocess.CompletedProcess[str]:
    """Apply the limits in a process of its own, and do something there."""
    arguments = [msgspec.json.encode(limits).decode(), json.dumps(ceiling)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", APPLY + then, *arguments], env=environ, capture_output=True, text=True, timeout=30
    )


def test_a_run_without_limits_has_none() -> None:
    assert rlimits(RunLimits(), in_cgroup=False) == []


def test_what_counts_for_the_whole_run_is_left_to_others() -> None:
    assert rlimits(RunLimits(processes=5, output=5, time=5.0), in_cgroup=False) == []


@pytest.mark.parametrize(("in_cgroup", "expected"), [(True, []), (False, [(resource.RLIMIT_AS, 2**30)])])
def test_address_space_stands_in_for_memory(in_cgroup: bool, expected: list[tuple[int, int]]) -> None:
    assert rlimits(RunLimits(memory=2**30), in_cgroup=in_cgroup) == expected


@pytest.mark.parametrize(("cpu", "seconds"), [(0.01, 1), (1.0, 1), (1.001, 2), (86400.0, 86400)])
def test_processor_time_is_rounded_up(cpu: float, seconds: int) -> None:
    assert rlimits(RunLimits(cpu=cpu), in_cgroup=True) == [(resource.RLIMIT_CPU, seconds)]


def test_soft_and_hard_limits_are_set() -> None:
    limits = RunLimits(open_files=64, file_size=2**20, cpu=7.0, memory=2**32)
    shown = json.loads(applied(limits, SHOW).stdout)
    assert shown == [[64, 64], [2**20, 2**20], [7, 8], [2**32, 2**32]]


def test_a_lower_limit_of_the_machine_stays() -> None:
    shown = json.loads(applied(RunLimits(open_files=1000), SHOW, ceiling=100).stdout)
    assert shown[0] == [100, 100]


def test_too_much_processor_time_brings_sigxcpu() -> None:
    assert applied(RunLimits(cpu=0.5), BURN).returncode == -signal.SIGXCPU


def test_too_large_a_file_brings_sigxfsz() -> None:
    assert applied(RunLimits(file_size=2**20), WRITE).returncode == -signal.SIGXFSZ


def test_too_much_address_space_is_not_had() -> None:
    ended = applied(RunLimits(memory=2**30), "bytes(2**31)")
    assert ended.returncode == 1
    assert "MemoryError" in ended.stderr
