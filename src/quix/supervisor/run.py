"""A run: one execution of a program, and what is remembered of it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from quix.wire.runs import Outcome, RunKey, RunLimits, RunOptions, RunState

Port = Annotated[int, Meta(ge=0, le=65535)]


class Ended(Struct, frozen=True, kw_only=True):
    """How a run ended; the fields are those of `quix.wire.runs.RunState`."""

    outcome: Outcome
    at: float
    exit_code: int | None = None
    exit_signal: str | None = None
    detail: str = ""


class Ports(Struct, frozen=True, kw_only=True):
    """The TCP ports that a program may listen on and connect to; None: any."""

    bind: tuple[Port, ...] | None = None
    connect: tuple[Port, ...] | None = None


class Run(Struct, frozen=True, kw_only=True):
    """The facts of one execution.

    Attributes:
        id: the key it was executed with, or 32 hexadecimal digits; it outlives the pid.
        keyed: whether it was executed with a key. Then its output and its end are kept for whoever asked.
        cmd: the command as it was given.
        options: how it was to be started.
        limits: those of the options, within what the machine's owner allows.
        ports: what the owner allows.
        pid: the program's own process, which leads a session and a process group of its own; 0 before it is known.
        start: when that process began, in clock ticks since boot (proc(5), /proc/PID/stat, field 22). With `pid` and
            `boot_id` it names one process and no other, ever. Before it is known: when the start was planned.
        proc_id: the pid of the first start, which is what repeats of an `execute` are answered with.
        started_at: seconds since the epoch.
        mark: a group that this run's processes alone are in, and cannot leave; 0 where there is none.
        restarts: how often it was started again.
        pause: seconds that the last start was waited for.
        next_start: seconds since the epoch, where its next start is waited for.
        last: how its last start ended, where it was started again.
        unattended: whether nobody waits for its output any more, so that it need not wait for anybody.
        stopped: whether it was told to end, so that it is not started again.
        verdict: why Quix ends its program, once it does.
        ended: how it ended, once it has.
        acknowledged: whether whoever asked knows of that.
    """

    id: RunKey
    keyed: bool = False
    cmd: Annotated[list[str], Meta(min_length=1)]
    options: RunOptions = RunOptions()
    limits: RunLimits = RunLimits()
    ports: Ports = Ports()
    pid: Annotated[int, Meta(ge=0, lt=2**31)]
    start: Annotated[int, Meta(ge=0)]
    boot_id: str
    proc_id: Annotated[int, Meta(ge=0, lt=2**31)] = 0
    started_at: float
    mark: Annotated[int, Meta(ge=0, lt=2**32)]
    restarts: int = 0
    pause: float = 0.0
    next_start: float | None = None
    last: Ended | None = None
    unattended: bool = False
    stopped: bool = False
    verdict: Outcome | None = None
    ended: Ended | None = None
    acknowledged: bool = False

    @property
    def title(self) -> str:
        return self.options.title

    @property
    def waits(self) -> bool:
        """Whether its program waits until what it wrote has arrived, where there is more than is kept."""
        return self.options.overflow == "wait" and not self.unattended

    def changed(self, **fields: object) -> Run:
        """Return the run with other values."""
        return msgspec.structs.replace(self, **fields)

    def state(self, stdout: int = 0, stderr: int = 0) -> RunState:
        """Return what is told of the run; `stdout` and `stderr` are the bytes it has written."""
        state = RunState(
            run=self.id,
            state="ended" if self.ended is not None else "waiting" if self.next_start is not None else "running",
            proc_id=self.pid or self.proc_id,
            started_at=self.started_at,
            restarts=self.restarts,
            stdout=stdout,
            stderr=stderr,
        )
        if self.ended is None:
            return state
        ended = self.ended
        return msgspec.structs.replace(
            state,
            ended_at=ended.at,
            outcome=ended.outcome,
            exit_code=ended.exit_code,
            exit_signal=ended.exit_signal,
            detail=ended.detail,
        )
