# Made from aio/follow.py by tools/sync_client.py: change that, and run `make sdk`.

"""Following what a run writes, byte for byte, across whatever happens on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Final

from quix.client.errors import is_passing
from quix.exits import QuixError
from quix.wire.messages import RunOutput

if TYPE_CHECKING:
    from quix.client.client import Client

PATIENCE: Final = 600.0
"""Seconds without any answer after which following fails."""

_WAIT: Final = 20.0
_FIRST: Final = 2**16
_SMALLEST: Final = 2**14
_LARGEST: Final = 2**19
_QUICK: Final = 0.25
_SLOW: Final = 1.0
"""Seconds for one answer: below the first the next is asked to be larger, above the second smaller."""

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 5.0


class Follower:
    """Reads a run's output from an offset on, in answers as large as the way allows.

    Attributes:
        stdout, stderr: the offsets of what comes next.
        missed: bytes that were kept no longer when they were asked for.
    """

    def __init__(
        self,
        client: Client,
        backend: str,
        run_id: str,
        stdout: int = 0,
        stderr: int = 0,
        *,
        acknowledge: bool = False,
        patience: float = PATIENCE,
        trouble: Callable[[QuixError], None] = lambda _error: None,
    ) -> None:
        """`trouble` is told of each failure that is tried again, for `patience` seconds in a row at most."""
        self.stdout = stdout
        self.stderr = stderr
        self.missed = 0
        self._client = client
        self._backend = backend
        self._run_id = run_id
        self._acknowledge = acknowledge
        self._patience = patience
        self._trouble = trouble
        self._limit = _FIRST

    def follow(self) -> Generator[RunOutput]:
        """Yield what the run writes until it has ended and all was read. Answers without chunks are yielded, too.

        Raises:
            QuixError: the server says no, or there was no answer for `patience` seconds.
        """
        while True:
            output = self._insist(_WAIT)
            self._advance(output)
            yield output
            if output.state.state == "ended" and not output.chunks:
                return

    def catch_up(self) -> Generator[RunOutput]:
        """Yield what the run has written so far. Raises as `follow`."""
        while (output := self._insist(0)).chunks:
            self._advance(output)
            yield output

    def _insist(self, wait: float) -> RunOutput:
        deadline = time.monotonic() + self._patience
        pause = _FIRST_PAUSE
        while True:
            try:
                return self._read(wait)
            except QuixError as error:  # reading changes nothing, and may be done again
                if not is_passing(error) or time.monotonic() + pause > deadline:
                    raise
                self._trouble(error)
                self._limit = _SMALLEST
                time.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _read(self, wait: float) -> RunOutput:
        began = time.monotonic()
        output = self._client.read_output(
            self._backend,
            self._run_id,
            self.stdout,
            self.stderr,
            limit=self._limit,
            wait=wait,
            acknowledge=self._acknowledge,
        )
        took = time.monotonic() - began
        if sum(len(chunk.data) for chunk in output.chunks) >= self._limit:
            if took < _QUICK:
                self._limit = min(self._limit * 2, _LARGEST)
            elif took > _SLOW:
                self._limit = max(self._limit // 2, _SMALLEST)
        return output

    def _advance(self, output: RunOutput) -> None:
        for chunk in output.chunks:
            end = chunk.offset + len(chunk.data)
            if chunk.stream == "stdout":
                self.missed += chunk.offset - self.stdout
                self.stdout = end
            else:
                self.missed += chunk.offset - self.stderr
                self.stderr = end
