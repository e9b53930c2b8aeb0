"""What an agent and its supervisor say to each other: one JSON object a line, on a Unix stream socket.

The agent calls, the supervisor replies, by `id` and in any order. The first call of a connection is `Hello`. From then
on the supervisor also says unasked what became of a run, in a `Reply` whose `notice` is set.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from quix.supervisor.sandbox import Description
from quix.wire.reasons import Reason, Refusal
from quix.wire.runs import Chunk, RunKey, RunOptions, RunState, Terminal

MAX_LINE: Final = 16 * 2**20
"""Bytes of one line; a `cmd` of the largest message fits, however much JSON escapes of it."""

SignalMode = Literal[
    "SIGTERM", "SIGKILL", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGSTOP", "SIGCONT", "SIGTSTP"
]
"""The seed's three, and what the extension `process` has beyond them."""


class Hello(Struct, tag="hello"):
    """`key` is what DIR/supervisor/key holds: whoever can read that is no program. Answered by `Welcome`."""

    key: str
    identity: str

    def __repr__(self) -> str:
        return f"Hello(identity={self.identity!r})"


class Spawn(Struct, tag="spawn"):
    """Start a program. Answered by its `Run`, once it has been executed; where the `key` was used before, by the run
    that it started then."""

    cmd: list[str]
    options: RunOptions = RunOptions()
    key: RunKey | None = None


class ListRuns(Struct, tag="list"):
    """Answered by the `Run` of each program that lives."""


class ListPorts(Struct, tag="ports"):
    """Answered by the ports that each program that lives, or what came of it, holds, by the run's id: for an agent that
    may not look at the programs' descriptors itself."""


class ListStates(Struct, tag="states"):
    """Answered by the `RunState` of each run with a key whose end is not acknowledged."""


class Read(Struct, tag="read"):
    """What a run wrote from these offsets on, up to `limit` bytes. Answered by `Written`: at once, or where there is
    nothing yet, within `wait` seconds. `acknowledge`: what is before the offsets has arrived. `unattended`: nobody
    waits for the output any more."""

    run: RunKey
    stdout: int
    stderr: int
    limit: int
    wait: float = 0
    acknowledge: bool = False
    unattended: bool = False


class Write(Struct, tag="write"):
    """Input for a run, from `offset` on, and whether it ends there. Answered by the number of bytes taken so far."""

    run: RunKey
    offset: int
    data: bytes
    end: bool = False


class Resize(Struct, tag="resize"):
    """The size of a run's terminal. Answered by null."""

    run: RunKey
    size: Terminal


class Signal(Struct, tag="signal"):
    """Signal a program, named by its pid or its run. SIGTERM, SIGKILL, SIGINT and SIGQUIT reach its whole tree, and it
    is not started again. Answered by null."""

    pid: int
    mode: SignalMode
    run: RunKey | None = None


class Acknowledge(Struct, tag="acknowledge"):
    """Whoever asked for a run knows how it ended. Answered by null."""

    run: RunKey


class Keep(Struct, tag="keep"):
    """From here on the connection is told, by `Kept`, what to keep for the next supervisor; not of one that is a
    service. Answered by null, once it has been told of all there is."""


class Retire(Struct, tag="retire"):
    """Make room for another supervisor; programs go on. Answered by null, and by the end of the connection."""


Ask = Hello | Spawn | ListRuns | ListPorts | ListStates | Read | Write | Resize | Signal | Acknowledge | Keep | Retire


class Kept(Struct):
    """With the line come `count` descriptors that are to be kept by this name; 0: those of this name need not be kept
    any more."""

    name: str
    count: int


class Call(Struct):
    id: int
    ask: Ask


class Reply(Struct):
    """`answer`, or the `reason` and `detail` of a refusal; or, with the id 0 that no call has, a `notice` or `kept`."""

    id: int
    answer: Raw | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    detail: str = ""
    notice: RunState | UnsetType = UNSET
    kept: Kept | UnsetType = UNSET


class Written(Struct):
    """What a run wrote, and how it is."""

    state: RunState
    chunks: list[Chunk]


class Welcome(Struct, kw_only=True):
    """`matches` tells whether this supervisor is of the build and settings that the agent wants; `is_service`, that
    it is not the agent's to replace (`quix supervisor`)."""

    pid: int
    matches: bool
    sandbox: Description
    version: str = ""
    is_service: bool = False


class Started(Struct):
    """The one line a supervisor writes to its standard output, once it can be called or knows that it never will.

    `busy`: another supervisor serves this data folder. `failed`: `detail` says why, `code` is the exit status.
    """

    state: Literal["ready", "busy", "failed"]
    detail: str = ""
    code: int = 0


_encode = msgspec.json.Encoder().encode
_calls = msgspec.json.Decoder(Call)
_replies = msgspec.json.Decoder(Reply)


def encode_call(number: int, ask: Ask) -> bytes:
    return _encode(Call(number, ask)) + b"\n"


def decode_call(line: bytes) -> Call:
    """Raises msgspec.DecodeError where `line` is no call."""
    return _calls.decode(line)


def encode_answer(number: int, answer: Any) -> bytes:
    return _encode(Reply(number, answer=Raw(_encode(answer)))) + b"\n"


def encode_notice(state: RunState) -> bytes:
    return _encode(Reply(0, notice=state)) + b"\n"


def encode_kept(name: str, count: int) -> bytes:
    return _encode(Reply(0, kept=Kept(name, count))) + b"\n"


def encode_refusal(number: int, refusal: Refusal) -> bytes:
    return _encode(Reply(number, reason=refusal.reason, detail=refusal.detail)) + b"\n"


def decode_reply(line: bytes) -> Reply:
    """Raises msgspec.DecodeError where `line` is no reply."""
    return _replies.decode(line)


def refusal(reply: Reply) -> Refusal | None:
    """Return the refusal that `reply` is, or None where it answers."""
    if reply.reason is UNSET:
        return None
    return Refusal(Reason.__members__.get(reply.reason.upper(), Reason.INTERNAL_ERROR), reply.detail)
