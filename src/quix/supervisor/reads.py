"""Reading what runs write: at once where there is something, else when there is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Final

from quix.supervisor.loop import Loop, Timer
from quix.supervisor.protocol import Read, Written
from quix.supervisor.register import Register
from quix.wire.reasons import Reason, Refusal

MAX_LIMIT: Final = 2**19
"""Bytes that one answer holds at most: in base64, they fit a message."""

_LONGEST_WAIT: Final = 60.0
_MOST_WAITING: Final = 64
"""Reads of one run that may wait at a time: all of them are answered when it writes."""

Answer = Callable[[Written | Refusal], None]


class _Waiting:
    """A read that has nothing to be answered with yet."""

    def __init__(self, ask: Read, answer: Answer, timer: Timer) -> None:
        self.ask = ask
        self.answer = answer
        self.timer = timer


class Reads:
    """Answers reads. One whose caller is gone by then costs an answer that nobody hears, and no more."""

    def __init__(self, register: Register, loop: Loop) -> None:
        self._register = register
        self._loop = loop
        self._waiting: defaultdict[str, list[_Waiting]] = defaultdict(list)

    def read(self, ask: Read, answer: Answer) -> None:
        """Have `answer` called with what was written, now or within `ask.wait` seconds.

        Raises:
            Refusal: RUN_UNKNOWN, REQUEST_INVALID for an offset that nothing can be at, TOO_MANY_REQUESTS, or
                UNAVAILABLE where the disk does not give it.
        """
        if min(ask.stdout, ask.stderr) < 0 or not 0 < ask.limit <= MAX_LIMIT:
            raise Refusal(Reason.REQUEST_INVALID, f"msg: offsets begin at 0, and limit is 1 to {MAX_LIMIT}")
        written = self._look(ask)
        if written.chunks or written.state.state == "ended" or ask.wait <= 0:
            answer(written)
            return
        if len(self._waiting.get(ask.run, ())) >= _MOST_WAITING:
            raise Refusal(Reason.TOO_MANY_REQUESTS, f"{_MOST_WAITING} reads of this run wait already")
        waiting = _Waiting(ask, answer, self._loop.later(min(ask.wait, _LONGEST_WAIT), lambda: self._give_up(waiting)))
        self._waiting[ask.run].append(waiting)

    def wrote(self, run_id: str) -> None:
        """A run has written something, or has become another state."""
        for waiting in self._waiting.pop(run_id, ()):
            waiting.timer.cancel()
            self._answer(waiting)

    def _give_up(self, waiting: _Waiting) -> None:
        self._waiting[waiting.ask.run].remove(waiting)
        if not self._waiting[waiting.ask.run]:
            del self._waiting[waiting.ask.run]
        self._answer(waiting)

    def _answer(self, waiting: _Waiting) -> None:
        try:
            waiting.answer(self._look(waiting.ask))
        except Refusal as refusal:  # nothing is kept of it any more
            waiting.answer(refusal)

    def _look(self, ask: Read) -> Written:
        run = self._register.get(ask.run)
        try:
            with self._register.output(run) as output:
                if ask.unattended:
                    self._register.leave(run)
                if ask.acknowledge:
                    output.acknowledge(ask.stdout, ask.stderr)
                return Written(self._register.state(run), output.read(ask.stdout, ask.stderr, ask.limit))
        except OSError as error:
            raise Refusal(Reason.UNAVAILABLE, f"what it wrote cannot be read: {error.strerror}") from error
