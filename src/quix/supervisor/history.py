"""Runs that have ended: kept until their end is acknowledged, and a good while longer for whoever asks again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from quix.supervisor import output
from quix.supervisor.journal import Journal
from quix.supervisor.run import Run

MAX_RUNS: Final = 1000
MAX_AGE: Final = 7 * 86400.0
MAX_BYTES: Final = 2**30
MAX_RECORDS: Final = 16 * 2**20
"""How many acknowledged runs stay, for how many seconds, and with how many bytes of output and of records together."""

MAX_UNTOLD: Final = 10_000
MAX_UNTOLD_RECORDS: Final = 64 * 2**20
"""How many runs may wait to be acknowledged before no further one is started, and with how many bytes of records."""


class History:
    """The ended runs of a journal's folder."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self._folder = folder
        self._journal = journal
        self._runs: dict[str, Run] = {}
        self._bytes: dict[str, int] = {}
        self._records: dict[str, int] = {}

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs.values())

    def get(self, run_id: str) -> Run | None:
        return self._runs.get(run_id)

    @property
    def is_full(self) -> bool:
        """Whether too many ends are not acknowledged; none of them may be let go of."""
        untold = [run_id for run_id, run in self._runs.items() if not run.acknowledged]
        return len(untold) >= MAX_UNTOLD or sum(map(self._records.__getitem__, untold)) >= MAX_UNTOLD_RECORDS

    def add(self, run: Run) -> None:
        """Keep a run that is in the journal already; the oldest that need not be kept go."""
        self._runs[run.id] = run
        self._bytes[run.id] = output.bytes_on_disk(self._folder, run.id)
        self._records[run.id] = len(msgspec.json.encode(run))
        self._prune()

    def acknowledge(self, run_id: str) -> None:
        """Whoever asked for the run knows of its end. Raises OSError where that cannot be written down."""
        run = self._runs.get(run_id)
        if run is not None and not run.acknowledged:
            run = run.changed(acknowledged=True)
            self._journal.update(run)
            self._runs[run_id] = run
            self._prune()

    def _prune(self) -> None:
        spare = [run for run in self._runs.values() if run.acknowledged and run.ended is not None]
        spare.sort(key=lambda run: run.ended.at if run.ended is not None else 0)
        total = sum(self._bytes[run.id] for run in spare)
        records = sum(self._records[run.id] for run in spare)
        oldest = time.time() - MAX_AGE
        for place, run in enumerate(spare):
            is_old = run.ended is not None and run.ended.at < oldest
            is_few = len(spare) - place <= MAX_RUNS and records <= MAX_RECORDS
            if not is_old and is_few and total <= MAX_BYTES:
                return
            total -= self._bytes[run.id]
            records -= self._records[run.id]
            self._forget(run.id)

    def _forget(self, run_id: str) -> None:
        output.remove(self._folder, run_id)  # first, so that the key never begins with what was written once
        self._journal.remove(run_id)
        del self._runs[run_id], self._bytes[run_id], self._records[run_id]
