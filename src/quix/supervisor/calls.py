"""What an agent may ask of runs: one case for each kind of call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn

import msgspec
from msgspec import UNSET

from quix.supervisor import proc, tree
from quix.supervisor.policy import Policy
from quix.supervisor.ports import Ports
from quix.supervisor.protocol import (
    Acknowledge,
    ListPorts,
    ListRuns,
    ListStates,
    Resize,
    Signal,
    Spawn,
    Write,
)
from quix.supervisor.run import Run
from quix.supervisor.runs import Runs
from quix.wire.reasons import Reason, Refusal
from quix.wire.runs import RunKey

_SHOWN: Final = 4096
"""Characters of a command in a list."""

RunCall = Spawn | ListRuns | ListPorts | ListStates | Write | Resize | Signal | Acknowledge


class Calls:
    """Answers calls, as far as the machine's owner allows them (`quix.supervisor.policy`)."""

    def __init__(self, runs: Runs, owner: Callable[[], Policy]) -> None:
        self._runs = runs
        self._owner = owner

    def answer(self, ask: RunCall) -> Any:
        """Return the answer to a call. Raises Refusal."""
        match ask:
            case Spawn():
                return self._runs.start(ask.cmd, ask.options, ask.key)
            case ListRuns():
                return [*map(_listed, self._runs.running())]
            case ListPorts():
                return self._ports()
            case ListStates():
                return [*self._runs.register.states()]
            case Write():
                return self._write(ask)
            case Resize():
                return self._resize(ask)
            case Signal():
                self._owner().check("signal")
                return self._runs.signal(ask.pid, ask.run, ask.mode)
            case Acknowledge():
                return self._acknowledge(ask.run)

    def _ports(self) -> dict[str, list[int]]:
        ports, trees = Ports(), tree.forest(self._runs.running(), proc.table())
        return {run_id: ports.of(entry.pid for entry in members) for run_id, members in trees.items()}

    def _acknowledge(self, run_id: RunKey) -> None:
        try:
            self._runs.register.history.acknowledge(run_id)
        except OSError as error:
            raise Refusal(Reason.UNAVAILABLE, f"it could not be recorded: {error}") from error

    def _write(self, ask: Write) -> int:
        self._owner().check("execute")
        living = self._runs.register.program(ask.run)
        if living is None:
            self._not_running(ask.run)
        if living.feed is None:
            raise Refusal(Reason.REQUEST_INVALID, "msg.run: it was started without input, or its input has ended")
        return living.feed.write(ask.offset, ask.data, end=ask.end)

    def _resize(self, ask: Resize) -> None:
        self._owner().check("execute")
        living = self._runs.register.program(ask.run)
        if living is None:
            self._not_running(ask.run)
        living.resize(ask.size)

    def _not_running(self, run_id: RunKey) -> NoReturn:
        self._runs.register.get(run_id)
        raise Refusal(Reason.RUN_UNKNOWN, "the run does not run any more")


def _listed(run: Run) -> Run:
    """Return what a list says of a run: with as much of its command as fits, and without what its environment holds."""
    cmd, room = [], _SHOWN
    for argument in run.cmd:
        cmd.append(argument[: max(0, room)])
        room -= len(argument)
        if room < 0:
            break
    return run.changed(cmd=cmd, options=msgspec.structs.replace(run.options, env=UNSET))
