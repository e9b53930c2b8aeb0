"""What runs may use, and what becomes of one that wants more."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from quix.supervisor import log, proc, tree
from quix.supervisor.cgroup import Resource
from quix.supervisor.living import Living
from quix.supervisor.loop import Loop
from quix.supervisor.proc import Stat
from quix.wire.runs import Outcome, RunLimits

_INTERVAL: Final = 0.25
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")

_RESERVE: Final = 64 * 2**20
_RESERVED_SHARE: Final = 0.02
"""The disk is about to be full where less than the smaller of these is left: bytes, and a share of it."""

_NOTABLE_SHARE: Final = 1 / 16
"""Of what is left then: who wrote less is not the cause."""


class Guard:
    """Looks at programs four times a second, for as long as one lives; `condemn` ends the one that wants too much.

    What is `counted` by control groups is asked of those, and else of the processes that can be seen.
    """

    def __init__(
        self,
        folder: Path,
        counted: frozenset[Resource],
        loop: Loop,
        living: Callable[[], Iterable[Living]],
        condemn: Callable[[Living, Outcome], None],
    ) -> None:
        self._folder = folder
        self._counted = counted
        self._loop = loop
        self._living = living
        self._condemn = condemn
        self._is_looking = False
        self._has_warned = False
        self._written: dict[str, int] = {}

    def watch(self, living: Living) -> None:
        """Hold a program that has just started to its limits."""
        seconds = living.run.limits.time
        if seconds:
            # By the program's own age: `started_at` is of the run's first start, and of a clock that can be set.
            left = seconds - (proc.now() - living.run.start) / _TICKS if living.adopted else seconds
            living.timers.append(self._loop.later(left, lambda: self._condemn(living, Outcome.TIMEOUT)))
        if not self._is_looking:
            self._is_looking = True
            self._loop.later(_INTERVAL, self._look)

    def _look(self) -> None:
        found = [living for living in self._living() if living.verdict is None]
        if not found:
            self._is_looking = False
            self._written.clear()
            return
        self._loop.later(_INTERVAL, self._look)
        table: dict[int, Stat] = {}
        for living in found:
            verdict = self._exceeded(living, table)
            if verdict is not None:
                self._condemn(living, verdict)
        self._look_at_disk(found)

    def _exceeded(self, living: Living, table: dict[int, Stat]) -> Outcome | None:
        limits = living.run.limits
        if living.cgroup is not None and (verdict := living.cgroup.exceeded()) is not None:
            return verdict
        asked = {"memory": limits.memory, "processes": limits.processes, "cpu": limits.cpu}
        if not any(value for name, value in asked.items() if living.cgroup is None or name not in self._counted):
            return None
        if not table:
            table.update(proc.table())  # one for all that need it
        return _exceeded_by_count(living, limits, table)

    # -- the disk -------------------------------------------------------------------------------

    def _look_at_disk(self, found: list[Living]) -> None:
        disk = os.statvfs(self._folder)
        reserve = min(_RESERVE, disk.f_blocks * disk.f_frsize * _RESERVED_SHARE)
        if disk.f_bavail * disk.f_frsize >= reserve:
            self._has_warned = False
            self._written.clear()
            return
        table = proc.table()
        written = {living.run.id: _written(living, table) for living in found}
        # Who has written the most since the disk became narrow or somebody was ended; at the first look, altogether.
        grown = {run_id: amount - self._written.get(run_id, 0) for run_id, amount in written.items()}
        most = max(found, key=lambda living: grown[living.run.id])
        if grown[most.run.id] > reserve * _NOTABLE_SHARE:
            self._written = written
            self._condemn(most, Outcome.DISK_FULL)
        elif not self._has_warned:
            self._has_warned = True
            self._written = written
            log.event("warning", "the disk is almost full, and no program of Quix writes much to it")


def _exceeded_by_count(living: Living, limits: RunLimits, table: Mapping[int, Stat]) -> Outcome | None:
    """Where the machine has no control groups: what the processes that can be seen use together."""
    members = tree.members(living.run, table)
    if limits.processes and sum(entry.threads for entry in members) > limits.processes:
        return Outcome.PROCESSES_LIMIT
    if limits.memory and sum(entry.rss for entry in members) * _PAGE > limits.memory:
        return Outcome.MEMORY_LIMIT
    if limits.cpu and sum(entry.user_system + entry.waited for entry in members) > limits.cpu * _TICKS:
        return Outcome.CPU_LIMIT
    return None


def _written(living: Living, table: Mapping[int, Stat]) -> int:
    """Return the bytes that a run's processes have written, those that have ended left out (proc(5), wchar)."""
    total = 0
    for entry in tree.members(living.run, table):
        try:
            facts = proc.read(f"/proc/{entry.pid}/io")
        except (*proc.GONE, PermissionError):
            continue
        total += int(facts.partition(b"wchar: ")[2].partition(b"\n")[0] or 0)
    return total
