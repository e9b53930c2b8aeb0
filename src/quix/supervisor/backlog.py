"""Input that was taken for a program, and may not have been passed on to it yet; it can outlive the supervisor.

It is a file in memory (memfd_create(2)). How far it was passed on is the position of the open file, which sendfile(2)
moves in the same step as the bytes. So whoever is given the descriptor after a supervisor was killed knows to the byte
what the program was given, what is still to come, and at which offset more begins.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Self

from quix.supervisor import kernel

_NAME: Final = "quix-input"
_LINK: Final = f"/memfd:{_NAME} (deleted)"  # proc(5), /proc/PID/fd

_STILL_READ: Final = 2**20
"""Bytes behind what was passed on that the program may not have read: as many as a pipe of any user's may hold
(pipe(7)). sendfile hands on the pages themselves, so what is in the pipe must stay as it is."""

_GRAIN: Final = 2**20
"""Bytes that are let go of together."""

_MODE: Final = 0o600
"""Of a file whose input goes on. Once it has ended, one more, and as many more as bytes were added to end it."""


class Backlog:
    """The input of one program, by offset; what it has read takes no memory.

    Attributes:
        descriptor: by which another process can have it.
    """

    def __init__(self, descriptor: int) -> None:
        """Take over what `make` or `find` found."""
        self.descriptor = descriptor
        status = os.fstat(descriptor)
        self._size = status.st_size
        self._ended = (status.st_mode & 0o777) - _MODE
        self._passed_on = os.lseek(descriptor, 0, os.SEEK_CUR)
        self._let_go = 0

    @classmethod
    def make(cls) -> Self:
        """Make an empty one. Raises OSError."""
        descriptor = os.memfd_create(_NAME, os.MFD_CLOEXEC)
        os.fchmod(descriptor, _MODE)
        return cls(descriptor)

    @classmethod
    def find(cls, descriptor: int) -> Self | None:
        """Return the one that a descriptor is of, or None where it is of something else. Raises OSError."""
        return cls(descriptor) if str(Path(f"/proc/self/fd/{descriptor}").readlink()) == _LINK else None

    @property
    def received(self) -> int:
        """Bytes of input that came so far, which is the offset of the next."""
        return self._size - max(0, self._ended - 1)

    @property
    def waiting(self) -> int:
        """Bytes that were not passed on yet."""
        return self._size - self._passed_on

    @property
    def has_ended(self) -> bool:
        return self._ended > 0

    @property
    def last(self) -> bytes:
        """The last byte that came, or nothing where none did."""
        return os.pread(self.descriptor, 1, self._size - 1) if self._size else b""

    def add(self, data: bytes) -> None:
        """Take more input. Raises OSError where there is no memory for it; what there was room for is taken."""
        while data:
            count = os.pwrite(self.descriptor, data, self._size)
            self._size += count
            data = data[count:]

    def end(self, closing: bytes) -> None:
        """There is no more input. `closing` is what tells the program so, and no input. Raises OSError."""
        self.add(closing)
        self._ended = 1 + len(closing)
        os.fchmod(self.descriptor, _MODE + self._ended)

    def pass_on(self, target: int) -> None:
        """Write what waits to `target`, which does not block.

        Raises:
            BlockingIOError: not all of it has room there.
            OSError: nobody reads there any more.
        """
        while self.waiting:
            count = os.sendfile(target, self.descriptor, None, self.waiting)
            if count == 0:
                raise BlockingIOError
            self._passed_on += count
            if self._passed_on - _STILL_READ - self._let_go >= _GRAIN:
                self._let_go = (self._passed_on - _STILL_READ) // _GRAIN * _GRAIN  # whole pages
                kernel.punch_hole(self.descriptor, 0, self._let_go)

    def close(self) -> None:
        os.close(self.descriptor)
