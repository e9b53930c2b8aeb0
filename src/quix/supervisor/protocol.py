"""What an agent and its supervisor say to each other: one JSON object a line, on a Unix stream socket.

The agent calls, the supervisor replies, by `id` and in any order. The first call of a connection is `Hello`.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from quix.supervisor.sandbox import Description
from quix.wire.reasons import Reason, Refusal

MAX_LINE: Final = 16 * 2**20
"""Bytes of one line; a `cmd` of the largest message fits, however much JSON escapes of it."""

SignalMode = Literal["SIGTERM", "SIGKILL", "SIGHUP"]


class Hello(Struct, tag="hello"):
    """`key` is what DIR/agent/supervisor.key holds: whoever can read that is no program. Answered by `Welcome`."""

    key: str
    identity: str

    def __repr__(self) -> str:
        return f"Hello(identity={self.identity!r})"


class Spawn(Struct, tag="spawn"):
    """Start a program. Answered by its `Run`, once it has been executed."""

    cmd: list[str]
    title: str = ""


class ListRuns(Struct, tag="list"):
    """Answered by the `Run` of each program that lives."""


class Signal(Struct, tag="signal"):
    """Signal the program `pid`, with SIGTERM and SIGKILL its whole tree. Answered by null."""

    pid: int
    mode: SignalMode


class Retire(Struct, tag="retire"):
    """Make room for another supervisor; programs go on. Answered by null, and by the end of the connection."""


Ask = Hello | Spawn | ListRuns | Signal | Retire


class Call(Struct):
    id: int
    ask: Ask


class Reply(Struct):
    """`answer`, or the `reason` and `detail` of a refusal."""

    id: int
    answer: Raw | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    detail: str = ""


class Welcome(Struct, kw_only=True):
    """`matches` tells whether this supervisor is of the build and settings that the agent wants."""

    pid: int
    matches: bool
    sandbox: Description


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
