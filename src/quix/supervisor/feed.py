"""The input of a run: bytes by offset, so that a repeat of what has arrived changes nothing."""

from __future__ import annotations

import os
from typing import Final

from quix.supervisor.loop import WRITE, Loop
from quix.wire.reasons import Reason, Refusal

_BUFFERED: Final = 2**16
"""Bytes that are taken before the program has read them; what is beyond has to be sent again."""

_END_OF_FILE: Final = b"\x04"  # VEOF of a terminal (termios(3))
_LINE_ENDS: Final = (b"\n", b"\r", _END_OF_FILE)


class Feed:
    """Writes to the descriptor that a program reads from.

    Attributes:
        received: bytes that were taken so far, which is the offset of the next.
    """

    def __init__(self, target: int, loop: Loop, *, is_terminal: bool) -> None:
        """Take over `target`, which must not block."""
        self._loop = loop
        self._target: int | None = target
        self._is_terminal = is_terminal
        self._waiting = bytearray()
        self._is_watched = False
        self._has_ended = False
        self._last = b"\n"
        self.received = 0

    def write(self, offset: int, data: bytes, *, end: bool) -> int:
        """Take the part of `data` that is new, as far as there is room, and its end; return `received`.

        Raises:
            Refusal: REQUEST_INVALID where bytes before `offset` are missing, or the program takes no more.
        """
        if offset > self.received:
            raise Refusal(Reason.REQUEST_INVALID, f"msg.offset: {self.received} bytes have come; send from there")
        fresh = data[self.received - offset :]
        if self._has_ended or self._target is None:
            if fresh:
                raise Refusal(Reason.REQUEST_INVALID, "msg.data: the program's input has ended, or it has closed it")
            return self.received
        taken = fresh[: max(0, _BUFFERED - len(self._waiting))]
        self.received += len(taken)
        self._waiting += taken
        self._last = taken[-1:] or self._last
        if end and len(taken) == len(fresh):
            self._has_ended = True
            if self._is_terminal:
                # In the middle of a line, the first one only hands over what there is of it.
                self._waiting += _END_OF_FILE if self._last in _LINE_ENDS else 2 * _END_OF_FILE
        self._flush()
        return self.received

    def close(self) -> None:
        """No more will be written."""
        if self._target is None:
            return
        if self._is_watched:
            self._loop.forget(self._target)
        os.close(self._target)
        self._target = None

    def _flush(self) -> None:
        if self._target is None:
            return
        try:
            while self._waiting:
                del self._waiting[: os.write(self._target, self._waiting)]
        except BlockingIOError:
            self._watch(wanted=True)
            return
        except OSError:  # nobody reads any more
            self.close()
            return
        self._watch(wanted=False)
        if self._has_ended and not self._is_terminal:
            self.close()

    def _watch(self, *, wanted: bool) -> None:
        if self._target is None or wanted == self._is_watched:
            return
        if wanted:
            self._loop.watch(self._target, WRITE, lambda _events: self._flush())
        else:
            self._loop.forget(self._target)
        self._is_watched = wanted
