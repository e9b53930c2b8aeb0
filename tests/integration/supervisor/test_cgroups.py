"""Runs in real control groups: what the kernel holds, what is said of it, and that nothing is left."""

from __future__ import annotations

import os
import secrets
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.groups import Program, groups_of, usable_hierarchies, wait_until
from quix.supervisor import groupfs, proc
from quix.supervisor.cgroup import RESOURCES, Cgroup
from quix.supervisor.cgroups import Cgroups
from quix.supervisor.hierarchies import Hierarchy
from quix.wire.runs import Outcome, RunLimits

pytestmark = pytest.mark.root

MIB = 2**20
WAIT = "import time; time.sleep(1000)"
GROW = """
import time
kept = []
while True:
    kept.append(b"x" * 2**20)
"""
GROW_TOGETHER = """
import os, time
for _ in range(4):
    if os.fork() == 0:
        kept = b"x" * (20 * 2**20)
        time.sleep(1000)
time.sleep(1000)
"""
FORK_BOMB = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
FORK_CALMLY = """
import os, sys
while True:
    if os.fork() == 0:
        os._exit(0)
    os.wait()
"""
BURN_TOGETHER = """
import os
os.fork()
while True: pass
"""
HIDE = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
        os.execve("/bin/sleep", ["sleep", "1000"], {})
    os._exit(0)
os.wait()
"""
LOOK_FOR_ENTRIES = """
import os, sys
links = [f"/proc/self/fd/{number}" for number in range(1000)]
sys.exit(any("cgroup" in os.readlink(link) for link in links if os.path.lexists(link)))
"""


@pytest.fixture
def mounted() -> Iterator[list[Hierarchy]]:
    with usable_hierarchies() as found:
        yield found


@pytest.fixture
def cgroups(mounted: list[Hierarchy], tmp_path: Path) -> Iterator[Cgroups]:
    found = Cgroups(tmp_path, mounted)
    missing = set(RESOURCES) - found.available
    if missing:
        pytest.skip(f"this machine has no control groups for {missing}")
    yield found
    assert found.sweep(set()) == []
    assert groups_of(tmp_path, mounted) == []


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    started: list[Program] = []
    yield started
    for program in started:
        program.kill()


def test_a_run_within_its_limits_ends_as_it_will(cgroups: Cgroups, programs: list[Program]) -> None:
    group = cgroups.create("a", RunLimits(memory=64 * MIB, processes=5, cpu=10.0))
    programs.append(Program(group, "raise SystemExit(7)"))
    assert programs[0].end() == 7
    assert group.exceeded() is None
    assert 0 < (group.cpu_seconds() or 0) < 10
    assert group.pids() == []
    assert group.remove()


def test_too_much_memory(cgroups: Cgroups, programs: list[Program]) -> None:
    group = cgroups.create("a", RunLimits(memory=64 * MIB))
    programs.append(Program(group, GROW))
    assert programs[0].end() == -signal.SIGKILL
    assert group.exceeded() is Outcome.MEMORY_LIMIT
    assert group.remove()


def test_the_memory_of_a_tree_is_counted_together(cgroups: Cgroups, programs: list[Program]) -> None:
    group = cgroups.create("a", RunLimits(memory=64 * MIB))
    programs.append(Program(group, GROW_TOGETHER))
    wait_until(lambda: group.exceeded() is Outcome.MEMORY_LIMIT, "the limit is passed")
    assert group.kill()
    assert programs[0].end() == -signal.SIGKILL
    assert group.remove()


def test_a_fork_bomb_is_held_and_ended(cgroups: Cgroups, programs: list[Program]) -> None:
    group = cgroups.create("a", RunLimits(processes=25))
    programs.append(Program(group, FORK_BOMB))
    wait_until(group.exceeded, "the limit is passed")
    assert group.exceeded() is Outcome.PROCESSES_LIMIT
    assert 1 < len(group.pids()) <= 25
    assert group.kill()
    assert group.pids() == []
    assert programs[0].end() == -signal.SIGKILL
    assert group.remove()


@pytest.mark.parametrize("limits", [RunLimits(processes=500), RunLimits(memory=512 * MIB)])
def test_being_killed_is_no_limit_passed(cgroups: Cgroups, programs: list[Program], limits: RunLimits) -> None:
    group = cgroups.create("a", limits)
    programs.append(Program(group, FORK_CALMLY))
    wait_until(lambda: len(group.pids()) > 1, "it forks")
    assert group.kill()
    assert group.exceeded() is None
    assert programs[0].end() == -signal.SIGKILL


def test_too_much_processor_time_in_two_processes(cgroups: Cgroups, programs: list[Program]) -> None:
    group = cgroups.create("a", RunLimits(cpu=0.3))
    programs.append(Program(group, BURN_TOGETHER))
    wait_until(group.exceeded, "the limit is passed")
    assert group.exceeded() is Outcome.CPU_LIMIT
    assert (group.cpu_seconds() or 0) >= 0.3
    assert len(group.pids()) == 2
    assert group.kill()
    assert group.remove()


def test_what_hides_is_found_and_ended(cgroups: Cgroups, programs: list[Program]) -> None:
    group = cgroups.create("a", RunLimits(processes=25))
    programs.append(Program(group, HIDE))
    assert programs[0].end() == 0
    (hidden,) = group.pids()
    found = proc.stat(hidden)
    assert found is not None
    assert found.session != programs[0].pid
    assert not group.remove(), "while it is in use"
    assert group.kill()
    assert group.pids() == []
    assert group.remove()


def test_a_stopped_process_is_ended(cgroups: Cgroups, programs: list[Program]) -> None:
    group = cgroups.create("a", RunLimits(cpu=100.0))
    programs.append(Program(group, WAIT))
    os.kill(programs[0].pid, signal.SIGSTOP)
    assert group.kill()
    assert programs[0].end() == -signal.SIGKILL


def test_groups_that_a_run_made_go_with_it(
    cgroups: Cgroups, mounted: list[Hierarchy], tmp_path: Path, programs: list[Program]
) -> None:
    group = cgroups.create("a", RunLimits(memory=64 * MIB, processes=10, cpu=100.0))
    for folder in groups_of(tmp_path, mounted):
        (folder / "below").mkdir()
        programs.append(Program(Cgroup([], RunLimits()), WAIT))
        (folder / "below" / "cgroup.procs").write_text(str(programs[-1].pid))
    assert group.pids() == sorted(program.pid for program in programs)
    assert not group.remove()
    assert group.kill()
    assert group.remove()
    assert groups_of(tmp_path, mounted) == []


def test_a_program_inherits_no_way_into_a_group(cgroups: Cgroups, programs: list[Program]) -> None:
    programs.append(Program(cgroups.create("a", RunLimits(cpu=100.0, memory=64 * MIB)), LOOK_FOR_ENTRIES))
    assert programs[0].end() == 0


def test_a_run_has_one_group(cgroups: Cgroups, programs: list[Program]) -> None:
    group = cgroups.create("a", RunLimits(memory=64 * MIB, processes=10))
    programs.append(Program(group, WAIT))
    wait_until(group.pids, "it has joined")
    with pytest.raises(FileExistsError):
        cgroups.create("a", RunLimits(memory=64 * MIB))
    assert group.pids() == [programs[0].pid], "and the one there is, is left alone"
    assert group.kill()
    assert group.remove()
    assert cgroups.create("a", RunLimits(memory=64 * MIB)).remove()


def test_more_processes_than_there_can_be_are_no_limit(cgroups: Cgroups) -> None:
    assert cgroups.create("a", RunLimits(processes=2**31 - 1)).remove()


def test_what_the_kernel_refuses_leaves_nothing(cgroups: Cgroups, mounted: list[Hierarchy], tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        cgroups.create("a", RunLimits(memory=-5, processes=2))
    assert groups_of(tmp_path, mounted) == []
    with pytest.raises(OSError, match="No such file"):
        cgroups.create("a/a", RunLimits(memory=64 * MIB))
    assert groups_of(tmp_path, mounted) == []


def test_a_successor_finds_the_group(
    cgroups: Cgroups, mounted: list[Hierarchy], tmp_path: Path, programs: list[Program]
) -> None:
    limits = RunLimits(memory=64 * MIB, cpu=0.2)
    programs.append(Program(cgroups.create("a", limits), BURN_TOGETHER))
    successor = Cgroups(tmp_path, mounted)
    group = successor.find("a", limits)
    assert group is not None
    wait_until(lambda: group.exceeded() is Outcome.CPU_LIMIT, "the limit is passed")
    assert group.kill()
    assert group.remove()
    assert successor.find("a", limits) is None


def test_a_successor_elsewhere_finds_the_group(
    cgroups: Cgroups, mounted: list[Hierarchy], tmp_path: Path, programs: list[Program]
) -> None:
    elsewhere = [
        Hierarchy(
            version=each.version,
            mount=each.mount,
            position=each.position / f"quixtest-{secrets.token_hex(6)}",
            controllers=each.controllers,
        )
        for each in mounted
    ]
    for each in elsewhere:
        each.position.mkdir()
    try:
        programs.append(Program(Cgroups(tmp_path, elsewhere).create("a", RunLimits(processes=10)), WAIT))
        wait_until(lambda: cgroups.find("a", RunLimits()), "it is found")
        assert cgroups.sweep(set()) == []
        assert programs[0].end() == -signal.SIGKILL
        assert groups_of(tmp_path, mounted) == []
    finally:
        programs[0].kill()
        for each in elsewhere:
            wait_until(lambda each=each: _gone(each.position), "it can be removed")  # type: ignore[misc]


def _gone(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def test_limits_are_set_again_where_controllers_were_taken_back(
    cgroups: Cgroups, mounted: list[Hierarchy], tmp_path: Path, programs: list[Program]
) -> None:
    (place,) = [each.position for each in mounted if each.version == 2]
    control = place / "cgroup.subtree_control"
    limits = RunLimits(memory=64 * MIB, processes=10)
    programs.append(Program(cgroups.create("a", limits), WAIT))
    if "memory" not in groupfs.words(control):  # version 1 holds it: there, nothing is ever taken back
        assert Cgroups(tmp_path, mounted).find("a", limits) is not None
        held = {groupfs.number(folder / "memory.limit_in_bytes") for folder in groups_of(tmp_path, mounted)}
        assert held - {None} == {64 * MIB}
        return
    for name in ("memory", "pids"):  # what systemd, or the unit's ExecStopPost=, does between two supervisors
        groupfs.write(control, f"-{name}")
    assert cgroups.create("b", limits).remove()
    (folder,) = groups_of(tmp_path, mounted)
    assert groupfs.read(folder / "memory.max") == "max\n", "the controller is new"
    assert Cgroups(tmp_path, mounted).find("a", limits) is not None
    assert groupfs.number(folder / "memory.max") == 64 * MIB
    assert groupfs.number(folder / "pids.max") == 10


def test_only_runs_that_are_known_survive_a_sweep(cgroups: Cgroups, programs: list[Program]) -> None:
    limits = RunLimits(memory=64 * MIB, processes=10)
    programs.extend(Program(cgroups.create(run_id, limits), WAIT) for run_id in ("known", "unknown"))
    assert cgroups.sweep({"known", "long_gone"}) == []
    assert programs[1].end() == -signal.SIGKILL
    assert programs[0].is_running()
    known = cgroups.find("known", limits)
    assert known is not None
    assert known.pids() == [programs[0].pid]
    assert cgroups.find("unknown", limits) is None


def test_data_folders_do_not_meet(
    cgroups: Cgroups, mounted: list[Hierarchy], tmp_path: Path, programs: list[Program]
) -> None:
    (tmp_path / "other").mkdir()
    other = Cgroups(tmp_path / "other", mounted)
    programs.append(Program(cgroups.create("a", RunLimits(processes=10)), WAIT))
    assert other.find("a", RunLimits()) is None
    assert other.sweep(set()) == []
    assert programs[0].is_running()
    assert other.create("a", RunLimits(processes=10)).remove()


def test_nothing_is_left_before_or_after_a_run(cgroups: Cgroups, mounted: list[Hierarchy], tmp_path: Path) -> None:
    assert groups_of(tmp_path, mounted) == []
    group = cgroups.create("a", RunLimits(memory=64 * MIB))
    assert groups_of(tmp_path, mounted) != []
    assert group.remove()
    assert groups_of(tmp_path, mounted) == []


def test_version_2_counts_and_kills_without_a_controller(
    mounted: list[Hierarchy], tmp_path: Path, programs: list[Program]
) -> None:
    cgroups = Cgroups(tmp_path, [each for each in mounted if each.version == 2])
    if "cpu" not in cgroups.available:
        pytest.skip("this machine has no hierarchy of version 2")
    group = cgroups.create("a", RunLimits(cpu=0.2))
    programs.append(Program(group, BURN_TOGETHER))
    wait_until(lambda: group.exceeded() is Outcome.CPU_LIMIT, "the limit is passed")
    assert group.kill()
    assert programs[0].end() == -signal.SIGKILL
    assert group.remove()
    assert groups_of(tmp_path, mounted) == []


def test_without_hierarchies_nothing_is_held(tmp_path: Path) -> None:
    cgroups = Cgroups(tmp_path, [])
    assert cgroups.available == set()
    assert not cgroups.holds(RunLimits(memory=MIB, processes=1, cpu=1.0))
    assert cgroups.find("a", RunLimits()) is None
    assert cgroups.sweep(set()) == []


@pytest.mark.parametrize(
    ("limits", "held"),
    [
        (RunLimits(), False),
        (RunLimits(open_files=10, file_size=1, output=1, time=1.0), False),
        (RunLimits(memory=MIB), True),
        (RunLimits(processes=1), True),
        (RunLimits(cpu=1.0), True),
    ],
)
def test_only_three_limits_need_a_group(cgroups: Cgroups, limits: RunLimits, held: bool) -> None:
    assert cgroups.holds(limits) is held


def test_who_may_make_no_groups_has_none() -> None:
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            os._exit(len(Cgroups(Path("/tmp")).available))
        finally:
            os._exit(127)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_who_starts_a_program_is_never_ended_with_it(cgroups: Cgroups) -> None:
    """The thread that started it may still be in the group when the program is to end."""
    group = cgroups.create("run", RunLimits())
    is_in, may_end = threading.Event(), threading.Event()

    def start() -> None:
        if group.takes_threads:  # in version 2 no thread joins it without its process
            group.join()
        is_in.set()
        may_end.wait()

    thread = threading.Thread(target=start)
    thread.start()
    try:
        is_in.wait()
        assert group.pids() == []  # before `kill`, which would otherwise be the end of the tests
        program = Program(group, WAIT)
        assert group.pids() == [program.pid]
        assert group.kill()
        assert program.end() == -signal.SIGKILL
    finally:
        may_end.set()
        thread.join()
