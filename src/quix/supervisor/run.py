"""A run: one execution of a program, and what is remembered of it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class Run(Struct, frozen=True, kw_only=True):
    """The facts of one execution.

    Attributes:
        id: 32 hexadecimal digits; it outlives the pid.
        cmd: the command as it was given.
        pid: the program's own process, which leads a session and a process group of its own; 0 before it is known.
        start: when that process began, in clock ticks since boot (proc(5), /proc/PID/stat, field 22). With `pid` and
            `boot_id` it names one process and no other, ever. Before it is known: when the run was planned.
        title: given at the start, or empty.
        started_at: seconds since the epoch.
        mark: a group that this run's processes alone are in, and cannot leave; 0 where there is none.
    """

    id: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    cmd: Annotated[list[str], Meta(min_length=1)]
    pid: Annotated[int, Meta(ge=0, lt=2**31)]
    start: Annotated[int, Meta(ge=0)]
    boot_id: str
    title: str
    started_at: float
    mark: Annotated[int, Meta(ge=0, lt=2**32)]
