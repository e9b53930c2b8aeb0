"""Which processes belong to a run: the program, and whatever came of it.

A process belongs to a run where it is the program itself, is in the session that the program leads, is a descendant of
one that belongs, or bears the run's mark. The mark is for those who left: a daemon has a session of its own and, since
its parent ended, another parent. Two marks survive that:

- the run's own supplementary group (`quix.supervisor.marks`), where the supervisor can hand out groups. Only root can
  leave a group, so nobody sheds it. (Sun Grid Engine has told jobs apart in this way for decades: `gid_range` in
  sge_conf(5).)
- `QUIX_RUN_MARK` in the environment that the process was started with. A program that means to can shed this one.

Neither follows from the run's key: another supervisor on the same machine may have a run of the same key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from quix.supervisor import proc
from quix.supervisor.proc import Stat
from quix.supervisor.run import Run

RUN_ID: Final = "QUIX_RUN_ID"
"""The environment variable that tells a program and its descendants the id of their run."""

RUN_MARK: Final = "QUIX_RUN_MARK"


def environment(run: Run) -> dict[str, str]:
    """Return the variables that every process of a run is started with."""
    return {RUN_ID: run.id, RUN_MARK: f"{run.id}.{run.started_at}"}


def members(run: Run, table: Mapping[int, Stat]) -> list[Stat]:
    """Return the living processes of one run, parents before children."""
    return forest([run], table)[run.id]


def forest(runs: Iterable[Run], table: Mapping[int, Stat]) -> dict[str, list[Stat]]:
    """Return the living processes of each run by its id, parents before children. A process is in one run at most."""
    growing = _Forest(table)
    runs = list(runs)
    by_pid = {run.pid: run for run in runs if run.pid}  # 0 is the session of all whose leader is in no sight of ours
    for run in runs:
        program = table.get(run.pid)
        if program is not None and program.start == run.start:
            growing.claim(program, run)
    for entry in table.values():
        leader = by_pid.get(entry.session)
        if leader is not None and _is_session_of(leader, entry, table):
            growing.claim(entry, leader)
    for entry, run in _marked(runs, table, growing.owners):
        growing.claim(entry, run)
    return {run.id: [entry for entry in growing.found[run.id] if not entry.is_dead] for run in runs}


def _is_session_of(run: Run, entry: Stat, table: Mapping[int, Stat]) -> bool:
    """Whether a process of the session of that number is in the run's, and not in one of a namesake of the pid: of an
    older one, which it would have been in before the run began, or of a newer one, which leads it now."""
    first = table.get(run.pid)
    return entry.start >= run.start and (first is None or first.start == run.start)


def find_program(run: Run, table: Mapping[int, Stat]) -> Stat | None:
    """Return the program of a run whose pid is not known: the oldest that leads a session and bears the run's mark."""
    leaders = [entry for entry, _ in _marked([run], table, {}) if entry.session == entry.pid]
    return min(leaders, key=lambda entry: entry.start, default=None)


class _Forest:
    """Who belongs to which run, as far as it has been found out."""

    def __init__(self, table: Mapping[int, Stat]) -> None:
        self.owners: dict[int, str] = {}
        self.found: defaultdict[str, list[Stat]] = defaultdict(list)
        self._children: defaultdict[int, list[Stat]] = defaultdict(list)
        for entry in table.values():
            self._children[entry.ppid].append(entry)

    def claim(self, root: Stat, run: Run) -> None:
        """`root` belongs to `run`, and with it all of its descendants that belong to no run yet."""
        waiting = [root]
        for entry in waiting:
            if entry.pid not in self.owners:
                self.owners[entry.pid] = run.id
                self.found[run.id].append(entry)
                waiting.extend(self._children[entry.pid])


def _marked(runs: list[Run], table: Mapping[int, Stat], owners: Mapping[int, str]) -> list[tuple[Stat, Run]]:
    if not runs:
        return []
    by_group = {run.mark: run for run in runs if run.mark}
    by_variable = {f"{RUN_MARK}={environment(run)[RUN_MARK]}".encode(): run for run in runs if not run.mark}
    oldest = min(run.start for run in runs)
    found: list[tuple[Stat, Run]] = []
    for entry in table.values():
        if entry.pid in owners or entry.start < oldest or entry.is_dead:
            continue
        run = _owner(entry.pid, by_group, by_variable)
        if run is not None and entry.start >= run.start:
            found.append((entry, run))
    return found


def _owner(pid: int, by_group: Mapping[int, Run], by_variable: Mapping[bytes, Run]) -> Run | None:
    if by_group:
        for group in proc.groups(pid):
            if group in by_group:
                return by_group[group]
    if by_variable:
        for variable in proc.environ(pid):
            if variable in by_variable:
                return by_variable[variable]
    return None
