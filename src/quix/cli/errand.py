"""One program on one of many backends: started once, whatever is lost on the way, and followed to its end."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
from msgspec import Struct

from quix.cli.tally import Result, Verdict, verdict
from quix.client import (
    ApiError,
    Client,
    DeniedError,
    FaultError,
    NoAnswerError,
    NotQuixServerError,
    OfflineError,
    ServerUnreachableError,
    Started,
    UnknownBackendError,
    UnknownOutcomeError,
)
from quix.client.follow import Follower
from quix.exits import QuixError
from quix.wire.runs import Outcome

if TYPE_CHECKING:
    from quix.cli.targets import Target
    from quix.wire.runs import RunOptions, RunState, StreamName

_PATIENCE: Final = 45.0
"""Seconds for which a server that is not there is waited for."""

_PAUSE: Final = 0.5

_HOPELESS: Final = (DeniedError, NotQuixServerError, ServerUnreachableError)
"""What the next backend would meet with, too."""


class Order(Struct, frozen=True):
    """What is to be run. `follow`: until its end; else it is only started."""

    cmd: list[str]
    options: RunOptions
    follow: bool = True


class Reporter(Protocol):
    """Is told what is seen on the way."""

    def runs(self, client: Client, run: str) -> None: ...
    def wrote(self, stream: StreamName, data: bytes) -> None: ...
    def noted(self, text: str) -> None: ...

    def is_hopeless(self) -> None:
        """What failed here will fail on the next one, too."""


def carry_out(client: Client, target: Target, order: Order, reporter: Reporter) -> Result:
    """Run it there, and return how it ended; whatever goes wrong is in the result."""
    result = Result(backend=target.name, id=target.id, result="started", outcome="started")
    try:
        started = _start(client, target, order)
        result = msgspec.structs.replace(result, run=started.run_id)
        reporter.runs(client, started.run_id)
        if not order.follow:
            return result
        if not target.keeps_runs:
            return _because(result, "unknown", "untracked", "the agent there keeps no output and no exit status")
        return _ended(result, _follow(client, target, started.run_id, reporter))
    except QuixError as error:
        if isinstance(error, _HOPELESS):
            reporter.is_hopeless()
        return _because(result, "unknown" if result.run else _verdict(error), _reason(error), str(error))


def _start(client: Client, target: Target, order: Order) -> Started:
    """Start it, once; where the server is not there, wait for it and for the backend to be back.

    Raises:
        QuixError: it was not started, or whether it was is not known.
    """
    try:
        return client.execute(target.id, order.cmd, order.options)
    except ServerUnreachableError:
        if not _is_back(client, target):
            raise
    return client.execute(target.id, order.cmd, order.options)


def _is_back(client: Client, target: Target) -> bool:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() + _PAUSE < deadline:
        time.sleep(_PAUSE)
        with contextlib.suppress(ServerUnreachableError):
            if client.backend(target.id).connected:
                return True
    return False


def _follow(client: Client, target: Target, run: str, reporter: Reporter) -> RunState:
    """Pass on what it writes until it ends; return its last state."""
    trouble = _Trouble(reporter)
    follower = Follower(client, target.id, run, acknowledge=True, trouble=trouble)
    missed, state = 0, None
    for output in follower.follow():
        trouble.is_over()
        if follower.missed > missed:
            reporter.noted(f"{follower.missed - missed} bytes are kept no longer (keep)")
            missed = follower.missed
        for chunk in output.chunks:
            reporter.wrote(chunk.stream, chunk.data)
        state = output.state
    assert state is not None
    return state


class _Trouble:
    """Says once that there is no answer, and once that there is again."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._is_told = False

    def __call__(self, error: QuixError) -> None:
        if not self._is_told:
            self._is_told = True
            self._reporter.noted(f"{str(error).rstrip('.')}; the program goes on, waiting for the connection")

    def is_over(self) -> None:
        if self._is_told:
            self._is_told = False
            self._reporter.noted("connected again")


def _ended(result: Result, state: RunState) -> Result:
    outcome = state.outcome or ""
    sentence = next((known.sentence for known in Outcome if known == outcome), "")
    plain = outcome in (Outcome.EXITED, Outcome.SIGNALLED)
    return msgspec.structs.replace(
        result,
        result=verdict(state),
        outcome=outcome,
        exit_code=state.exit_code,
        exit_signal=state.exit_signal,
        detail=state.detail or ("" if plain else sentence),
    )


def _because(result: Result, word: Verdict, outcome: str, detail: str) -> Result:
    return msgspec.structs.replace(result, result=word, outcome=outcome, detail=detail)


def _verdict(error: QuixError) -> Verdict:
    """Return what it is that a start failed so."""
    if isinstance(error, NoAnswerError | UnknownOutcomeError | FaultError):
        return "unknown"
    if isinstance(error, OfflineError | UnknownBackendError | ServerUnreachableError):
        return "not_reached"
    # Asked again by the same key, it repeats what it said before.
    return "not_reached" if _reason(error) == "backend_offline" else "failed"


def _reason(error: QuixError) -> str:
    if isinstance(error, ApiError):
        return error.reason
    if isinstance(error, NoAnswerError):
        return "no_answer"
    return "server_unreachable" if isinstance(error, ServerUnreachableError) else "failed"
