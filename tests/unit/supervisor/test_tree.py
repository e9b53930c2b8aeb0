"""Who belongs to a run, on process tables made up for it."""

from __future__ import annotations

import os

from quix.supervisor import proc, tree
from quix.supervisor.proc import Stat
from quix.supervisor.run import Run


def process(pid: int, ppid: int, session: int = 0, *, start: int = 100, state: str = "S", threads: int = 1) -> Stat:
    return Stat(
        pid=pid, comm=f"c{pid}", state=state, ppid=ppid, session=session, user_system=0, waited=0, threads=threads,
        start=start, rss=0,
    )  # fmt: skip


# No process has these pids, so none is found by a mark.
BASE = 2**30


def table(*entries: Stat) -> dict[int, Stat]:
    return {entry.pid: entry for entry in entries}


def a_run(pid: int, *, start: int = 100, mark: int = 0, run_id: str = "a" * 32) -> Run:
    return Run(id=run_id, cmd=["x"], pid=pid, start=start, boot_id="b", started_at=0, mark=mark)


def pids(run: Run, entries: dict[int, Stat]) -> list[int]:
    return [entry.pid - BASE for entry in tree.members(run, entries)]


def test_descendants_at_any_depth_parents_first() -> None:
    entries = table(
        process(BASE + 4, BASE + 3), process(BASE + 3, BASE + 2), process(BASE + 2, BASE + 1),
        process(BASE + 1, 1), process(BASE + 9, 1),
    )  # fmt: skip
    assert pids(a_run(BASE + 1), entries) == [1, 2, 3, 4]


def test_its_session_when_the_parents_are_gone() -> None:
    entries = table(
        process(BASE + 1, 1, BASE + 1), process(BASE + 2, 1, BASE + 1), process(BASE + 3, BASE + 2, BASE + 3)
    )
    assert pids(a_run(BASE + 1), entries) == [1, 2, 3]
    del entries[BASE + 1]
    assert pids(a_run(BASE + 1), entries) == [2, 3], "also when the program is gone"


def test_a_namesake_of_the_pid_and_its_family_are_strangers() -> None:
    entries = table(process(BASE + 1, 1, BASE + 1, start=50), process(BASE + 2, BASE + 1, BASE + 1, start=60))
    assert pids(a_run(BASE + 1, start=100), entries) == []


def test_a_newer_namesake_that_leads_a_session_is_a_stranger() -> None:
    """The program is gone, and its number another's: a supervisor's, say."""
    entries = table(process(BASE + 1, 1, BASE + 1, start=200), process(BASE + 2, BASE + 1, BASE + 1, start=300))
    assert pids(a_run(BASE + 1, start=100), entries) == []


def test_zombies_are_left_out_but_not_their_children_nor_threads_that_go_on() -> None:
    entries = table(
        process(BASE + 1, 1, BASE + 1, state="Z"), process(BASE + 2, BASE + 1, state="Z", threads=2),
        process(BASE + 3, BASE + 1), process(BASE + 4, BASE + 1, state="X"),
    )  # fmt: skip
    assert pids(a_run(BASE + 1), entries) == [2, 3]


def test_two_runs_share_no_process() -> None:
    one, two = a_run(BASE + 1), a_run(BASE + 5, run_id="b" * 32)
    entries = table(
        process(BASE + 1, 1), process(BASE + 2, BASE + 1), process(BASE + 5, 1), process(BASE + 6, BASE + 5)
    )
    found = tree.forest([one, two], entries)
    assert [[entry.pid - BASE for entry in found[run.id]] for run in (one, two)] == [[1, 2], [5, 6]]


def test_a_run_that_is_gone_has_nobody() -> None:
    assert tree.forest([a_run(BASE + 1)], {}) == {"a" * 32: []}
    assert tree.forest([], table(process(BASE + 1, 1))) == {}


def test_a_table_that_bites_its_own_tail() -> None:
    """A look that takes time can see a pid twice: as a parent that ended, and as a child that came."""
    entries = table(process(BASE + 1, BASE + 2), process(BASE + 2, BASE + 1))
    assert pids(a_run(BASE + 1), entries) == [1, 2]


def test_a_mark_of_the_environment() -> None:
    """This process's own environment: everything that it was started with marks it."""
    name, value = next(item.split(b"=", 1) for item in proc.environ(os.getpid()) if b"=" in item)
    run = a_run(BASE + 1, start=0)
    before = tree.RUN_MARK, tree.environment
    entries = {os.getpid(): proc.table()[os.getpid()]}
    try:
        tree.RUN_MARK = name.decode()  # type: ignore[misc]
        tree.environment = lambda run: {tree.RUN_MARK: run.id}
        marked = a_run(BASE + 1, start=0, run_id=value.decode())
        assert [entry.pid for entry in tree.members(marked, entries)] == [os.getpid()]
        late = a_run(BASE + 1, start=proc.now() + 100, run_id=value.decode())
        assert tree.members(late, entries) == [], "a process older than the run is none of it"
    finally:
        tree.RUN_MARK, tree.environment = before  # type: ignore[misc]
    assert tree.members(run, entries) == []


def test_a_run_whose_pid_is_not_known_has_no_session() -> None:
    """0 is what /proc says of who is in a session from outside, as below `unshare --pid`."""
    entries = table(process(BASE + 1, 0, 0, start=200), process(BASE + 2, BASE + 1, 0, start=300))
    assert pids(a_run(0, start=100), entries) == []
