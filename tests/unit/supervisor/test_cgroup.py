"""What the files of a group say, and what is written there; on folders with files as the kernel gives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from quix.supervisor.cgroup import Cgroup, Setting, apply, settings
from quix.wire.runs import Outcome, RunLimits

ALL = RunLimits(memory=2**30, processes=10, cpu=2.0)

V2_CALM = {
    "memory.events": "low 0\nhigh 0\nmax 12\noom 0\noom_kill 0\noom_group_kill 0\n",
    "pids.events": "max 0\n",
    "cpu.stat": "usage_usec 1999999\nuser_usec 1999999\nsystem_usec 0\n",
    "cgroup.procs": "",
}
V1_CALM = {
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
    "memory.limit_in_bytes": "67108864\n",
    "memory.memsw.limit_in_bytes": "67108864\n",
    "memory.max_usage_in_bytes": "60000000\n",
    "memory.memsw.max_usage_in_bytes": "60000000\n",
    "pids.events": "max 0\n",
    "cpuacct.usage": "1999999999\n",
    "cpu.stat": "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n",
    "cgroup.procs": "",
}


def group(folder: Path, files: dict[str, str], limits: RunLimits = ALL) -> Cgroup:
    for name, text in files.items():
        (folder / name).write_text(text)
    return Cgroup([folder], limits)


@pytest.mark.parametrize("files", [V1_CALM, V2_CALM, {}])
def test_a_run_within_its_limits_is_not_blamed(tmp_path: Path, files: dict[str, str]) -> None:
    assert group(tmp_path, files).exceeded() is None


@pytest.mark.parametrize(
    ("calm", "change", "outcome"),
    [
        (V2_CALM, {"memory.events": "max 12\noom 1\noom_kill 3\n"}, Outcome.MEMORY_LIMIT),
        (V2_CALM, {"pids.events": "max 1\n"}, Outcome.PROCESSES_LIMIT),
        (V2_CALM, {"cpu.stat": "usage_usec 2000000\n"}, Outcome.CPU_LIMIT),
        (
            V1_CALM,
            {
                "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
                "memory.max_usage_in_bytes": "67108864\n",
            },
            Outcome.MEMORY_LIMIT,
        ),
        (
            V1_CALM,
            {
                "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
                "memory.memsw.max_usage_in_bytes": "67104768\n",
            },
            Outcome.MEMORY_LIMIT,
        ),
        (V1_CALM, {"pids.events": "max 1\n"}, Outcome.PROCESSES_LIMIT),
        (V1_CALM, {"cpuacct.usage": "2000000000\n"}, Outcome.CPU_LIMIT),
    ],
)
def test_what_passed_a_limit_is_said(
    tmp_path: Path, calm: dict[str, str], change: dict[str, str], outcome: Outcome
) -> None:
    assert group(tmp_path, {**calm, **change}).exceeded() is outcome
    assert group(tmp_path, {}, RunLimits()).exceeded() is None, "a run without that limit"


@pytest.mark.parametrize(
    ("calm", "change"),
    [
        (V2_CALM, {"memory.events": "max 0\noom 0\noom_kill 1\n"}),
        (V1_CALM, {"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"}),
    ],
)
def test_where_the_machine_ran_out_of_memory_the_run_is_not_blamed(
    tmp_path: Path, calm: dict[str, str], change: dict[str, str]
) -> None:
    assert group(tmp_path, {**calm, **change}).exceeded() is None


def test_what_was_said_once_stays(tmp_path: Path) -> None:
    found = group(tmp_path, {**V2_CALM, "pids.events": "max 1\n"})
    assert found.exceeded() is Outcome.PROCESSES_LIMIT
    (tmp_path / "memory.events").write_text("oom 1\noom_kill 1\n")
    assert found.exceeded() is Outcome.PROCESSES_LIMIT


@pytest.mark.parametrize(
    ("files", "seconds"), [(V1_CALM, 1.999999999), (V2_CALM, 1.999999), ({"cpu.stat": "nr_periods 0\n"}, None)]
)
def test_processor_time_is_told_in_seconds(tmp_path: Path, files: dict[str, str], seconds: float | None) -> None:
    assert group(tmp_path, files).cpu_seconds() == seconds


def test_processes_of_groups_below_count_and_strangers_do_not(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "cgroup.procs").write_text("30\n0\n")
    assert group(tmp_path, {"cgroup.procs": "20\n10\n30\n"}).pids() == [10, 20, 30]


def test_forks_are_forbidden_before_the_end(tmp_path: Path) -> None:
    found = group(tmp_path, {**V2_CALM, "pids.max": "max\n", "cgroup.kill": "0\n"})
    assert found.kill()
    assert (tmp_path / "pids.max").read_text().startswith("0")
    assert (tmp_path / "cgroup.kill").read_text().startswith("1")


def test_each_version_has_its_own_words() -> None:
    limits = RunLimits(memory=2**20, processes=3)
    assert settings(1, "memory", limits) == [
        Setting("memory.limit_in_bytes", 2**20),
        Setting("memory.memsw.limit_in_bytes", 2**20, is_vital=False),
    ]
    assert settings(2, "memory", limits) == [
        Setting("memory.max", 2**20),
        Setting("memory.swap.max", 0, is_vital=False),
        Setting("memory.oom.group", 1, is_vital=False),
    ]
    assert settings(1, "processes", limits) == settings(2, "processes", limits) == [Setting("pids.max", 3)]


def test_what_is_not_limited_is_not_set() -> None:
    assert settings(1, "memory", RunLimits(processes=1)) == []
    assert settings(2, "processes", RunLimits(memory=2**20)) == []
    assert settings(2, "cpu", RunLimits(cpu=1.0)) == []


def test_only_a_vital_file_must_exist(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    apply(tmp_path, settings(2, "memory", RunLimits(memory=12345678)))
    assert (tmp_path / "memory.max").read_text() == "12345678"
    assert not (tmp_path / "memory.swap.max").exists()
    with pytest.raises(FileNotFoundError):
        apply(tmp_path, settings(1, "memory", RunLimits(memory=12345678)))
