"""The input of a run: bytes by offset, so that a repeat of what has arrived changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from quix.supervisor.backlog import Backlog
from quix.supervisor.loop import WRITE, Loop
from quix.wire.reasons import Reason, Refusal

_BUFFERED: Final = 2**16
"""Bytes that are taken before the program has read them; what is beyond has to be sent again."""

_END_OF_FILE: Final = b"\x04"  # VEOF of a terminal (termios(3))
_LINE_ENDS: Final = (b"", b"\n", b"\r", _END_OF_FILE)


class Feed:
    """Writes to the descriptor that a program reads from.

    Attributes:
        changed: called when a successor needs fewer descriptors.
    """

    def __init__(self, target: int | None, loop: Loop, *, is_terminal: bool, backlog: Backlog | None = None) -> None:
        """Take over `target`, which must not block and is none where the input has ended, and what an earlier
        supervisor took. Raises OSError."""
        self.changed: Callable[[], None] = lambda: None
        self._loop = loop
        self._target = target
        self._is_terminal = is_terminal
        self._is_watched = False
        self._backlog = backlog or Backlog.make()

    @property
    def received(self) -> int:
        """Bytes that were taken so far, which is the offset of the next."""
        return self._backlog.received

    @property
    def descriptors(self) -> dict[str, int]:
        """What a successor needs to go on, by a name for each; a terminal it has anyway."""
        target = {} if self._is_terminal or self._target is None else {"in": self._target}
        return {**target, "backlog": self._backlog.descriptor}

    def write(self, offset: int, data: bytes, *, end: bool) -> int:
        """Take the part of `data` that is new, as far as there is room, and its end; return `received`.

        Raises:
            Refusal: REQUEST_INVALID where bytes before `offset` are missing, or the program takes no more; UNAVAILABLE
                where there is no memory for more.
        """
        if offset > self.received:
            raise Refusal(Reason.REQUEST_INVALID, f"msg.offset: {self.received} bytes have come; send from there")
        fresh = data[self.received - offset :]
        if self._target is None or self._backlog.has_ended:
            if fresh:
                raise Refusal(Reason.REQUEST_INVALID, "msg.data: the program's input has ended, or it has closed it")
            return self.received
        taken = fresh[: max(0, _BUFFERED - self._backlog.waiting)]
        try:
            self._backlog.add(taken)
            if end and len(taken) == len(fresh):
                self._backlog.end(self._closing())
        except OSError as error:
            raise Refusal(Reason.UNAVAILABLE, f"the input cannot be kept: {error}") from error
        self.flush()
        return self.received

    def flush(self) -> None:
        """Pass on what can be."""
        if self._target is None:
            return
        try:
            self._backlog.pass_on(self._target)
        except BlockingIOError:
            self._watch(wanted=True)
            return
        except OSError:  # nobody reads any more
            self.close()
            return
        self._watch(wanted=False)
        if self._backlog.has_ended and not self._is_terminal:
            self.close()

    def close(self) -> None:
        """No more will be passed on."""
        if self._target is None:
            return
        self._watch(wanted=False)
        os.close(self._target)
        self._target = None
        self.changed()

    def release(self) -> None:
        """Let go of all; no successor needs it."""
        self.changed = lambda: None
        self.close()
        self._backlog.close()

    def _closing(self) -> bytes:
        if not self._is_terminal:
            return b""
        # In the middle of a line, the first one only hands over what there is of it.
        return _END_OF_FILE if self._backlog.last in _LINE_ENDS else 2 * _END_OF_FILE

    def _watch(self, *, wanted: bool) -> None:
        if self._target is None or wanted == self._is_watched:
            return
        if wanted:
            self._loop.watch(self._target, WRITE, lambda _events: self.flush())
        else:
            self._loop.forget(self._target)
        self._is_watched = wanted
