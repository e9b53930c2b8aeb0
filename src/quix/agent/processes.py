"""The rows of `view_running` (PROTOCOL: section 4; seed: "View running applications")."""

from __future__ import annotations

import asyncio
import os
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

from msgspec import Struct, json, structs

from quix import logs
from quix.agent import titles
from quix.agent.look import Look
from quix.supervisor import proc, tree
from quix.supervisor.ports import Ports
from quix.supervisor.proc import Stat
from quix.supervisor.run import Run
from quix.wire.messages import Process
from quix.wire.reasons import Reason, Refusal

SHORTEST: Final = 0.1
"""Seconds that a CPU figure spans at least; the kernel counts in ticks of 10 ms, so less would be noise."""

T = TypeVar("T")

log = logs.get(__name__)

_MB: Final = 10**6
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")

_ENVELOPE: Final = 1024
_TITLE: Final = 256
_LONGEST_COMMANDS: Final = (4096, 512, 64)
"""Characters of a title, and of a command: anybody on the machine may have a process with a megabyte of arguments."""

_PATIENCE: Final = 10.0
"""Seconds for one look. Reading a process's arguments waits for its memory, which a hung disk can hold."""


class Snapshot(Struct):
    """All processes at one moment, `at` in seconds since boot, and those of each run by the run's id."""

    at: float
    table: dict[int, Stat]
    trees: dict[str, list[Stat]]


class ProcessMeter:
    """Looks at processes, and remembers the look, since CPU use is what happened between two of them."""

    def __init__(self, largest: int) -> None:
        """`largest`: bytes that a message may have."""
        self._room = largest - _ENVELOPE
        self._kept: list[Snapshot] = []
        self._lock = asyncio.Lock()

    async def rows(
        self, runs: Sequence[Run], verb: int, known_ports: Mapping[str, list[int]] | None = None
    ) -> list[Process]:
        """Return a row for each run that lives, and with `verb` 2 or more for every other process as well.

        The first look, and one that comes before there is another at least `SHORTEST` old, waits for the rest of that
        time. A row of a run counts its descendants; one of any other process is of that process alone. `known_ports`
        are those of each run by its id, where somebody else has looked.

        Raises:
            Refusal: UNAVAILABLE where the machine does not tell in time.
        """
        async with self._lock:
            try:
                before = await self._before(runs)
                return await _apart(partial(self._look, runs, verb, before, known_ports))
            except TimeoutError:
                raise Refusal(Reason.UNAVAILABLE, "the machine does not tell of its processes in time") from None

    async def _before(self, runs: Sequence[Run]) -> Snapshot:
        """Return the newest snapshot that is old enough to measure from."""
        if not self._kept:
            self._kept.append(await _apart(partial(_snapshot, runs)))
        now = _now()
        old_enough = [kept for kept in self._kept if now - kept.at >= SHORTEST]
        if old_enough:
            return old_enough[-1]
        await asyncio.sleep(self._kept[0].at + SHORTEST - now)
        return self._kept[0]

    def _look(
        self, runs: Sequence[Run], verb: int, before: Snapshot, known_ports: Mapping[str, list[int]] | None
    ) -> list[Process]:
        snapshot = _snapshot(runs)
        if snapshot.at - self._kept[-1].at >= SHORTEST:
            self._kept = [self._kept[-1], snapshot]
        ports = Ports()
        rows = {}
        for run in runs:
            if members := snapshot.trees[run.id]:
                known = None if known_ports is None else known_ports.get(run.id, [])
                held = ports.of(entry.pid for entry in members) if known is None else known
                rows[run.pid] = _run_row(run, snapshot, before, held)
        if verb >= 2:
            others = (entry for pid, entry in snapshot.table.items() if pid not in rows)
            rows |= {entry.pid: _row(entry, snapshot, before, ports) for entry in others}
        return fitting([rows[pid] for pid in sorted(rows)], self._room)


def fitting(rows: list[Process], room: int) -> list[Process]:
    """Return the rows with their titles and commands shortened, so that all of them have room in so many bytes; where
    even that does not help, without the last ones."""
    shown = rows
    for longest in _LONGEST_COMMANDS:
        shown = [structs.replace(row, title=_cut(row.title, _TITLE), reqc=_cut(row.reqc, longest)) for row in rows]
        if len(json.encode(shown)) <= room:
            return shown
    while len(json.encode(shown)) > room:
        del shown[len(shown) * 9 // 10 :]
    log.warning("there are more processes than a message has room for", shown=len(shown), of=len(rows))
    return shown


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


async def _apart(work: partial[T]) -> T:
    return await Look(work, _PATIENCE).take()


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _snapshot(runs: Iterable[Run]) -> Snapshot:
    at = _now()
    table = proc.table()
    return Snapshot(at, table, tree.forest(runs, table))


def _run_row(run: Run, now: Snapshot, before: Snapshot, ports: list[int]) -> Process:
    members = now.trees[run.id]
    program = now.table.get(run.pid, members[0])
    return Process(
        title=run.title or titles.title(program, run.cmd),
        pid=run.pid,
        cpu_util=_percent(_tree_ticks(members, before.trees.get(run.id, [])), _seconds(run.start, now, before)),
        mem_util=_megabytes(members),
        reqc=shlex.join(run.cmd),
        port_util=ports,
    )


def _row(entry: Stat, now: Snapshot, before: Snapshot, ports: Ports) -> Process:
    earlier = before.table.get(entry.pid)
    used = entry.user_system - (earlier.user_system if earlier is not None and earlier.start == entry.start else 0)
    return Process(
        title=titles.title(entry),
        pid=entry.pid,
        cpu_util=_percent(used, _seconds(entry.start, now, before)),
        mem_util=_megabytes([entry]),
        reqc=titles.command(entry),
        port_util=ports.of([entry.pid]),
    )


def _tree_ticks(now: Sequence[Stat], before: Sequence[Stat]) -> int:
    """Return the clock ticks that a tree used in between, processes that came and went included.

    What a process used moves to its parent's `waited` once it ends, so the sum over the tree only grows; unless one
    ended whose parent was not of the tree any more. Then what each of the others used is the better bound.
    """
    earlier = {entry.identity: entry for entry in before}
    grown = sum(entry.user_system + entry.waited for entry in now) - sum(
        entry.user_system + entry.waited for entry in before
    )
    each = sum(entry.user_system - earlier[entry.identity].user_system for entry in now if entry.identity in earlier)
    return max(grown, each)


def _seconds(start: int, now: Snapshot, before: Snapshot) -> float:
    """Return how long a process was there to use a CPU since the last look."""
    return max(now.at - max(before.at, start / _TICKS), SHORTEST)


def _percent(ticks: int, seconds: float) -> float:
    return round(100 * ticks / _TICKS / seconds, 1)


def _megabytes(entries: Iterable[Stat]) -> int:
    return round(sum(entry.rss for entry in entries) * _PAGE / _MB)
