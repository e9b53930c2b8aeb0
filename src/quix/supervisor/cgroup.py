"""The control group of one run: its whole tree, whatever the processes in it do to hide.

A group is a folder in each hierarchy that it takes to hold the run's limits. What a folder can do shows in the files
that the kernel puts there, so a group that an earlier supervisor made is used without knowing how it was made.

What ends what: the kernel kills where `memory` is passed, the whole tree with version 2, one process with version 1. A
fork past `processes` fails with EAGAIN, and no more. `cpu` is only counted. So whoever runs the run asks `exceeded`
again and again, and calls `kill` then.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Literal

from msgspec import UNSET, Struct

from quix.supervisor import groupfs
from quix.supervisor.hierarchies import Version
from quix.wire.runs import Outcome, RunLimits

Resource = Literal["memory", "processes", "cpu"]
RESOURCES: Final[tuple[Resource, ...]] = ("memory", "processes", "cpu")

_KILL_LIMIT: Final = 2.0
_REMOVE_LIMIT: Final = 0.5
_PAUSE: Final = 0.001
_HIGHEST_PID: Final = 2**22 if sys.maxsize > 2**32 else 2**15
"""PID_MAX_LIMIT (linux/threads.h): there can be no more processes, and the kernel takes no higher limit."""

_LARGEST_WANT: Final = 8 * os.sysconf("SC_PAGE_SIZE")
"""Bytes for which the kernel kills where they are missing; larger wants just fail (PAGE_ALLOC_COSTLY_ORDER)."""

_NANO: Final = 1e9
_MICRO: Final = 1e6


class Setting(Struct, frozen=True):
    """What is written to a file of a group. `is_vital`: the limit does not hold without it; what is not vital is left
    out where the kernel has no such file."""

    file: str
    value: int
    is_vital: bool = True


class Cgroup:
    """One run's group. Every method is quick but for `kill` (two seconds at most) and `remove` (half a second).

    Attributes:
        takes_threads: whether a thread can join it without its process.
    """

    def __init__(
        self, folders: Sequence[Path], limits: RunLimits, entries: Iterable[int] = (), *, takes_threads: bool = False
    ) -> None:
        """Take folders that exist, and descriptors of the files by which a process joins them, or a thread alone."""
        self.takes_threads = takes_threads
        self._folders = tuple(folders)
        self._limits = limits
        self._entries = tuple(entries)
        self._verdict: Outcome | None = None
        self._killed = False

    # -- joining --------------------------------------------------------------------------------

    def join(self) -> None:
        """Move this process, which must have one thread, or where the group takes threads this one, into the group;
        before it gives up any right. Raises OSError where the kernel refuses."""
        for entry in self._entries:
            os.write(entry, b"0")

    @property
    def is_bound(self) -> bool:
        """Whether it holds limits, so that nothing of the run may ever be outside."""
        return self._limits != RunLimits()

    def take(self, pid: int) -> None:
        """Move a process with one thread into the group. What it has started before stays where it is. Raises OSError
        where the kernel refuses; a process that has ended is left alone."""
        for entry in self._entries:
            with contextlib.suppress(ProcessLookupError):
                os.write(entry, b"%d" % pid)

    def close(self) -> None:
        """Let go of what `join` needs; for the parent, once it has forked."""
        for entry in self._entries:
            os.close(entry)
        self._entries = ()

    # -- knowing --------------------------------------------------------------------------------

    def cpu_seconds(self) -> float | None:
        """Return the processor time that all in it have used, ended processes included, or None where it is not
        counted."""
        for folder in self._folders:
            nanoseconds = groupfs.number(folder / "cpuacct.usage")
            if nanoseconds is not None:
                return nanoseconds / _NANO
            microseconds = groupfs.keyed(folder / "cpu.stat").get("usage_usec")
            if microseconds is not None:
                return microseconds / _MICRO
        return None

    def exceeded(self) -> Outcome | None:
        """Return which limit was passed, or None. What was said once stays, and `kill` changes it no more."""
        if self._verdict is None and not self._killed:
            self._verdict = self._judge()
        return self._verdict

    def _judge(self) -> Outcome | None:
        limits = self._limits
        if limits.memory is not UNSET and any(map(_ran_out_of_memory, self._folders)):
            return Outcome.MEMORY_LIMIT
        if limits.processes is not UNSET and any(
            groupfs.keyed(folder / "pids.events").get("max") for folder in self._folders
        ):
            return Outcome.PROCESSES_LIMIT
        if limits.cpu is not UNSET and (self.cpu_seconds() or 0) >= limits.cpu:
            return Outcome.CPU_LIMIT
        return None

    def pids(self) -> list[int]:
        """Return the processes that are in it or in a group below it, in order.

        Never this one. The thread that has started a program is in the program's group until the kernel is done with
        it, which is after all that Python knows of its end; and version 1 shows the process that a thread is of.
        """
        groups = (group for folder in self._folders for group in groupfs.below(folder))
        return sorted(set().union(*map(groupfs.inhabitants, groups)) - {os.getpid()})

    # -- ending ---------------------------------------------------------------------------------

    def kill(self) -> bool:
        """Send SIGKILL to all that is in it until nothing is left; return whether nothing is."""
        self.exceeded()
        self._killed = True  # the forks that are refused from here on are not held against the program
        for folder in self._folders:
            for name, value in (("cgroup.kill", 1), ("pids.max", 0)):
                with contextlib.suppress(FileNotFoundError):
                    groupfs.write(folder / name, value)
        deadline = time.monotonic() + _KILL_LIMIT
        while pids := self.pids():
            if time.monotonic() > deadline:
                return False
            self._kill_all(pids)
            time.sleep(_PAUSE)
        return True

    def _kill_all(self, pids: Iterable[int]) -> None:
        with contextlib.ExitStack() as stack:
            opened = {pid: pidfd for pid in pids if (pidfd := _open(pid)) is not None}
            for pidfd in opened.values():
                stack.callback(os.close, pidfd)
            # Asked again after the pidfds were opened: what is still in the group is what they were opened for.
            for pid in opened.keys() & set(self.pids()):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    signal.pidfd_send_signal(opened[pid], signal.SIGKILL)

    def remove(self) -> bool:
        """Remove it, once nothing is in it; return whether it is gone.

        Raises:
            OSError: the kernel says something other than that it is in use.
        """
        self.close()
        deadline = time.monotonic() + _REMOVE_LIMIT
        while not all(_removed(group) for folder in self._folders for group in groupfs.below(folder)):
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE)
        return True


def settings(version: Version, resource: Resource, limits: RunLimits) -> list[Setting]:
    """Return what holds a limit in a folder of that version; nothing where the run has no such limit.

    The order matters: version 1 never lets memory and swap together be less than memory.
    """
    if resource == "memory" and limits.memory is not UNSET:
        if version == 1:
            return [
                Setting("memory.limit_in_bytes", limits.memory),
                Setting("memory.memsw.limit_in_bytes", limits.memory, is_vital=False),
            ]
        return [
            Setting("memory.max", limits.memory),
            Setting("memory.swap.max", 0, is_vital=False),
            Setting("memory.oom.group", 1, is_vital=False),
        ]
    if resource == "processes" and limits.processes is not UNSET:
        return [Setting("pids.max", min(limits.processes, _HIGHEST_PID))]
    return []


def apply(folder: Path, wanted: Iterable[Setting]) -> None:
    """Write settings to a folder. Raises OSError where one that is vital cannot be written."""
    for setting in wanted:
        try:
            groupfs.write(folder / setting.file, setting.value)
        except FileNotFoundError:
            if setting.is_vital:
                raise


def _ran_out_of_memory(folder: Path) -> bool:
    """Return whether something was killed and it was this group that was full; where the machine itself runs out of
    memory, the kernel kills as well."""
    if groupfs.keyed(folder / "memory.oom_control").get("oom_kill"):
        return _was_full(folder, "memory") or _was_full(folder, "memory.memsw")
    events = groupfs.keyed(folder / "memory.events")
    return bool(events.get("oom_kill") and events.get("oom"))


def _was_full(folder: Path, what: str) -> bool:
    """Return whether a version 1 group was ever full. `failcnt` should tell, but Linux 6.18 does not count it."""
    most = groupfs.number(folder / f"{what}.max_usage_in_bytes")
    limit = groupfs.number(folder / f"{what}.limit_in_bytes")
    return most is not None and limit is not None and most + _LARGEST_WANT > limit


def _open(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _removed(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
            return False
        raise
    return True
