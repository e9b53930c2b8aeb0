"""Which runs there are: those that live, those that wait for their next start, and those that have ended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from quix.supervisor import log, output
from quix.supervisor.history import History
from quix.supervisor.journal import Journal
from quix.supervisor.living import Living
from quix.supervisor.output import Output
from quix.supervisor.run import Run
from quix.supervisor.starting import Starter
from quix.wire.reasons import Reason, Refusal
from quix.wire.runs import RunState


class Register:
    """The runs of one data folder, in memory and in the journal.

    Attributes:
        current: the runs that live or wait for their next start, by id.
        history: those that have ended.
        living: programs by pid.
        outputs: what the current ones write, by the run's id; those without a key write to nowhere.
    """

    def __init__(self, folder: Path, starter: Starter) -> None:
        self.journal = Journal(folder)
        self.history = History(folder, self.journal)
        self.current: dict[str, Run] = {}
        self.living: dict[int, Living] = {}
        self.outputs: dict[str, Output] = {}
        self._folder = folder
        self._starter = starter

    def __len__(self) -> int:
        return len(self.current)

    # -- looking --------------------------------------------------------------------------------

    def get(self, run_id: str) -> Run:
        """Return a run. Raises Refusal(RUN_UNKNOWN)."""
        run = self.find(run_id)
        if run is None:
            raise Refusal(Reason.RUN_UNKNOWN)
        return run

    def find(self, run_id: str) -> Run | None:
        return self.current.get(run_id) or self.history.get(run_id)

    def program(self, run_id: str) -> Living | None:
        """Return the program of a run, or None where it does not run."""
        run = self.current.get(run_id)
        living = None if run is None else self.living.get(run.pid)
        return living if living is not None and living.run.id == run_id else None

    def state(self, run: Run) -> RunState:
        """Return what is told of a run."""
        kept = self.outputs.get(run.id)
        return run.state(*(kept.sizes if kept is not None else output.sizes(self._folder, run.id)))

    def states(self) -> Iterator[RunState]:
        """Yield the state of each run with a key that somebody may not know yet."""
        for run in (*self.current.values(), *self.history):
            if run.keyed and not run.acknowledged:
                yield self.state(run)

    @contextlib.contextmanager
    def output(self, run: Run) -> Iterator[Output]:
        """Give what a run wrote; that of one that has ended is opened for this. Raises Refusal where it has no key."""
        if not run.keyed:
            raise Refusal(Reason.RUN_UNKNOWN, "it was started without a key, so nothing that it writes is kept")
        kept = self.outputs.get(run.id)
        if kept is not None:
            yield kept
            return
        opened = self._starter.output(run, lambda _total: None)
        try:
            yield opened
        finally:
            opened.close()

    def was_executed(self, run: Run) -> bool:
        """Return whether a run's program was about to be executed, if not more."""
        return output.was_executed(self._folder, run.id)

    # -- changing -------------------------------------------------------------------------------

    def open_output(self, run: Run, wrote: Callable[[int], None]) -> Output | None:
        """Return what a current run writes to, opened the first time; None where it has no key."""
        if run.keyed and run.id not in self.outputs:
            self.outputs[run.id] = self._starter.output(run, wrote)
        return self.outputs.get(run.id)

    def note(self, run: Run) -> None:
        """Have a run be what it has become, in memory and, unless the disk is full, in the journal."""
        self.current[run.id] = run
        if (living := self.living.get(run.pid)) is not None and living.run.id == run.id:
            living.run = run
        try:
            self.journal.update(run)
        except OSError as error:  # what is there finds its program, if not its last state
            log.event("warning", "a run could not be recorded", run=run.id, error=str(error))

    def leave(self, run: Run) -> None:
        """Nobody waits for what a run writes any more."""
        if run.id in self.current and run.waits:
            self.note(run.changed(unattended=True))
            self.outputs[run.id].wait_no_more()

    def end(self, run: Run) -> None:
        """Move a run that has ended to the history. Raises OSError where its end cannot be put on the disk."""
        self.journal.update(run, sync=True)
        del self.current[run.id]
        if (kept := self.outputs.pop(run.id, None)) is not None:
            kept.close()
        self.history.add(run)

    def forget(self, run: Run) -> None:
        """Have a run never have been, or be of no interest any more."""
        self.current.pop(run.id, None)
        if (kept := self.outputs.pop(run.id, None)) is not None:
            kept.close()
        if run.keyed:
            output.remove(self._folder, run.id)
        self.journal.remove(run.id)
