"""Runs: one execution each, by the id that outlives pids (extension `process`).

The shapes that server, agent and supervisor share; the requests that carry them are in `quix.wire.messages`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from quix.words import Word

RunKey = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}(?!\n)$")]
"""Names a run, and makes an `execute` safe to repeat; chosen by whoever asks. It becomes part of file names."""

VariableName = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(?!\n)$", max_length=256)]

Bytes = Annotated[int, Meta(ge=1, le=2**53)]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Duration = Annotated[float, Meta(gt=0, le=10 * 366 * 86400)]
Offset = Annotated[int, Meta(ge=0, le=2**53)]

StreamName = Literal["stdout", "stderr"]

DEFAULT_KEEP: Final = 64 * 2**20
"""Bytes of each stream that a backend keeps where nothing else was asked for."""


class RunLimits(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a run may use, its whole tree counted together; a run that wants more is ended, and `outcome` says why.

    Attributes:
        memory: bytes; where the machine has no control groups, bytes of address space of each process.
        processes: processes and threads at one moment.
        cpu: seconds of processor time; where the machine has no control groups, of each process.
        open_files: descriptors of each process.
        file_size: bytes of each file that it writes.
        output: bytes written to standard output and standard error together.
        time: seconds from the start to the end.
    """

    memory: Annotated[int, Meta(ge=2**20, le=2**53)] | UnsetType = UNSET
    processes: Count | UnsetType = UNSET
    cpu: Duration | UnsetType = UNSET
    open_files: Annotated[int, Meta(ge=8, le=2**20)] | UnsetType = UNSET
    file_size: Bytes | UnsetType = UNSET
    output: Bytes | UnsetType = UNSET
    time: Duration | UnsetType = UNSET


class Terminal(Struct, frozen=True, forbid_unknown_fields=True):
    """The size of a pseudo-terminal (ioctl_tty(2), TIOCSWINSZ)."""

    rows: Annotated[int, Meta(ge=1, le=65535)]
    columns: Annotated[int, Meta(ge=1, le=65535)]


class RunOptions(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a program is started, beyond its command.

    Attributes:
        env: variables beside those that every program gets, or in their place.
        cwd: the working folder; a relative one is below the data folder.
        title: what `view_running` calls it.
        limits: what it may use.
        restart: whether it is started again when it ends; `on-failure`: where it ended other than with status 0.
        stdin: `pipe` to give it input by `write_input`; else its input is empty.
        terminal: run it on a pseudo-terminal of that size; all it writes is then `stdout`.
        keep: bytes of each stream that stay on the backend.
        overflow: what happens to output beyond `keep`: `drop` lets the oldest go, `wait` makes the program wait until
            what it wrote has arrived (see `ReadOutput.ack`).
    """

    env: Annotated[dict[VariableName, str], Meta(max_length=1024)] | UnsetType = UNSET
    cwd: Annotated[str, Meta(min_length=1, max_length=4096)] | UnsetType = UNSET
    title: Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*(?!\n)$")] = ""
    limits: RunLimits = RunLimits()
    restart: Literal["never", "on-failure", "always"] = "never"
    stdin: Literal["none", "pipe"] = "none"
    terminal: Terminal | UnsetType = UNSET
    keep: Annotated[int, Meta(ge=2**16, le=2**40)] = DEFAULT_KEEP
    overflow: Literal["drop", "wait"] = "drop"


class Outcome(Word):
    """How a run ended; `sentence` says it to a person."""

    EXITED = "exited", "The program ended by itself; exit_code is its status."
    SIGNALLED = "signalled", "A signal ended the program; exit_signal names it."
    TIMEOUT = "timeout", "It took longer than limits.time, and was ended."
    MEMORY_LIMIT = "memory_limit", "It wanted more memory than limits.memory, and was ended."
    PROCESSES_LIMIT = "processes_limit", "It wanted more processes than limits.processes, and was ended."
    CPU_LIMIT = "cpu_limit", "It used more processor time than limits.cpu, and was ended."
    FILE_LIMIT = "file_limit", "It wrote a file larger than limits.file_size, and was ended."
    OUTPUT_LIMIT = "output_limit", "It wrote more output than limits.output, and was ended."
    DISK_FULL = "disk_full", "The backend's disk was about to be full and it wrote the most; it was ended."
    NOT_STARTED = "not_started", "It could not be started again; the detail says why."
    LOST = "lost", "It ended while nobody watched, as when the machine restarts; its exit status is unknown."


class RunState(Struct, kw_only=True, omit_defaults=True):
    """What a backend knows of a run.

    Attributes:
        run: the key it was executed with.
        state: `waiting` while its next start is waited for (`RunOptions.restart`).
        proc_id: the pid of the program, or of its last start.
        started_at, ended_at: seconds since the epoch, by the backend's clock.
        restarts: how often it was started again.
        stdout, stderr: bytes written so far, which is the offset of the next.
        outcome: an `Outcome`, once it has ended; a newer peer may know others.
        exit_code: its status, where it exited.
        exit_signal: such as `SIGKILL`, where a signal ended it.
        detail: a sentence for people, where there is more to say.
    """

    run: RunKey
    state: Literal["running", "waiting", "ended"]
    proc_id: Annotated[int, Meta(ge=0, lt=2**31)]
    started_at: float
    restarts: Annotated[int, Meta(ge=0, le=2**53)] = 0
    stdout: Offset = 0
    stderr: Offset = 0
    ended_at: float | None = None
    outcome: Annotated[str, Meta(max_length=64)] | None = None
    exit_code: Annotated[int, Meta(ge=-(2**31), lt=2**32)] | None = None
    exit_signal: Annotated[str, Meta(max_length=16)] | None = None
    detail: Annotated[str, Meta(max_length=1000)] = ""


class Chunk(Struct, kw_only=True):
    """Bytes of a stream from `offset` on, in base64 (RFC 4648 section 4). `offset` is later than what was asked for
    where the bytes before are no longer kept."""

    stream: StreamName
    offset: Offset
    data: bytes
