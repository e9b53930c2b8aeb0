"""Input that was taken for a program, and may not have been passed on to it yet; it can outlive the supervisor.

It is a file in memory (memfd_create(2)). How far it was passed on is the position of the open file, which sendfile(2)
moves in the same step as the bytes. So whoever is given the descriptor after a supervisor was killed knows to the byte
what the program was given, what is still to come, and at which offset more begins.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final, Self

_NAME: Final = "quix-input"
_LINK: Final = re.compile(rf"/memfd:{_NAME}\.([0-9]+) \(deleted\)")  # proc(5), /proc/PID/fd

_LARGE: Final = 2**20
"""Bytes after which another file takes this one's place: what was passed on is not let go of before."""

_MODE: Final = 0o600
"""Of a file whose input goes on. Once it has ended, one more, and as many more as bytes were added to end it."""


class Backlog:
    """The input of one program, from an offset on.

    Attributes:
        descriptor: by which another process can have it.
        base: the offset of its first byte in the whole input.
    """

    def __init__(self, descriptor: int, base: int) -> None:
        """Take over what `make` or `find` found."""
        self.descriptor = descriptor
        self.base = base
        status = os.fstat(descriptor)
        self._size = status.st_size
        self._ended = (status.st_mode & 0o777) - _MODE
        self._passed_on = os.lseek(descriptor, 0, os.SEEK_CUR)

    @classmethod
    def make(cls, base: int = 0, before: bytes = b"") -> Self:
        """Make one that goes on at `base`, after what is known of what came `before`. Raises OSError."""
        base -= len(before)
        descriptor = os.memfd_create(f"{_NAME}.{base}", os.MFD_CLOEXEC)
        os.fchmod(descriptor, _MODE)
        os.pwrite(descriptor, before, 0)
        os.lseek(descriptor, len(before), os.SEEK_SET)
        return cls(descriptor, base)

    @classmethod
    def find(cls, descriptor: int) -> Self | None:
        """Return the one that a descriptor is of, or None where it is of something else. Raises OSError."""
        name = _LINK.fullmatch(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        return cls(descriptor, int(name[1])) if name else None

    @property
    def received(self) -> int:
        """Bytes of input that came so far, which is the offset of the next."""
        return self.base + self._size - max(0, self._ended - 1)

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

    @property
    def is_used_up(self) -> bool:
        """Whether all was passed on, and it is time for the next."""
        return not self.waiting and not self.has_ended and self._size >= _LARGE

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

    def next(self) -> Backlog:
        """Return the one that goes on where this one is used up. Raises OSError."""
        return self.make(self.received, self.last)

    def close(self) -> None:
        os.close(self.descriptor)
