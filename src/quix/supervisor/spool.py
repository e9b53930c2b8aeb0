"""One output stream of a run: from the pipe that the program writes to, into a file that is read by offset.

The pipe has a name in the file system, and the program holds both of its ends. So it lives as long as the program does:
where the supervisor is killed the program waits at a full pipe, instead of being killed by it, and the next supervisor
opens the same pipe and goes on where the file ends. Nothing is read from the pipe that is not in the file at once.

The file only grows, so an offset means the same byte for ever; what is let go of is punched out at its beginning.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from quix.supervisor import kernel, log
from quix.supervisor.loop import READ, Loop, Timer

_PORTION: Final = 2**20
"""Bytes moved at one go, so that one program that writes a lot does not keep all others waiting."""

_PIPE: Final = 2**20
_GRAIN: Final = 2**20
"""Bytes that may be kept over `keep`."""

_SMALL: Final = 2**16
"""Bytes up to which no file is made beside the output's own."""

_FULL_PAUSE: Final = 1.0
"""Seconds until a write is tried again that the disk had no room for."""

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)


class Spool:
    """The pipe and the file of one stream.

    Attributes:
        size: bytes written so far, which is the offset of the next.
        start: the first offset that is still kept.
        is_over: whether everything that was written is in the file, and no more will come.
        is_stuck: whether the disk has no room for what was written.
    """

    def __init__(self, path: Path, loop: Loop, keep: int, *, waits: bool, grew: Callable[[int], None]) -> None:
        """Open the file at `path`, made where there is none.

        Args:
            keep: bytes that stay.
            waits: whether the program waits, instead of the oldest bytes going, until what it wrote was acknowledged.
            grew: called with the number of bytes that were added.

        Raises:
            OSError: the file cannot be opened.
        """
        self._loop = loop
        self._keep = keep
        self._waits = waits
        self._grew = grew
        self._source: int | None = None
        self._is_pipe = True
        self._held = b""  # what was taken from a terminal, and the disk had no room for
        self._is_watched = False
        self._retry: Timer | None = None
        self._warned: set[str] = set()
        self._start = _Number(path.with_name(path.name + ".start"))
        start = self._start.read()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self.size = os.fstat(self._file).st_size
        self.start = max(0, self.size - keep) if start is None else min(start, self.size)
        self._acknowledged = self.start
        self.is_over = True
        self.is_stuck = False

    @property
    def pipe(self) -> int | None:
        """The end of the pipe that is read from, where there is one."""
        return self._source if self._is_pipe else None

    def feed(self, source: int) -> None:
        """Move what comes from `source`, a descriptor that does not block, into the file until it ends."""
        self._is_pipe = stat.S_ISFIFO(os.fstat(source).st_mode)
        if self._is_pipe:
            with contextlib.suppress(OSError):  # this user's pipes hold as much as they may (pipe(7))
                kernel.widen_pipe(source, _PIPE)
        self._source = source
        self.is_over = False
        self._reserve()
        self._watch()

    def drain(self) -> bool:
        """Move all that the program left behind; return whether that could be done. To be called when it has ended.

        That is what is there at this moment: something that could not be ended may go on writing.
        """
        left = self._waiting()
        while self._source is not None and left > 0:
            before = self.size
            if not self._move(min(left, _PORTION)):
                break
            left -= self.size - before
        if left > 0 and self.is_stuck:
            return False
        self._end()
        return True

    def _waiting(self) -> int:
        """Return the bytes that are in the pipe; for a terminal, more than there can be."""
        if self._source is None:
            return 0
        return kernel.bytes_waiting(self._source) if self._is_pipe else _PORTION

    def read(self, offset: int, limit: int) -> tuple[int, bytes]:
        """Return up to `limit` bytes from `offset` on, or from the first that is kept; and the offset they begin at."""
        begin = max(offset, self.start)
        return begin, os.pread(self._file, min(limit, self.size - begin), begin) if begin < self.size else b""

    def acknowledge(self, offset: int) -> None:
        """What is before `offset` has arrived, and may be let go of."""
        self._acknowledged = max(self._acknowledged, min(offset, self.size))
        if self._source is not None and not self._is_watched:
            self._trim()
            self._watch()

    def wait_no_more(self) -> None:
        """Let the oldest bytes go from here on, instead of having the program wait."""
        self._waits = False
        if self._source is not None and not self._is_watched:
            self._trim()
            self._watch()

    def close(self) -> None:
        """Let go of both; the file stays."""
        self._end()
        self._start.close()
        os.close(self._file)

    # -- moving ---------------------------------------------------------------------------------

    def _ready(self, _events: int) -> None:
        self._move(self._room())
        self._watch()

    def _room(self) -> int:
        return min(_PORTION, self.start + self._keep - self.size) if self._waits else _PORTION

    def _watch(self) -> None:
        """Look at the source exactly while there is room for what it has."""
        wanted = self._source is not None and self._retry is None and self._room() > 0
        if self._source is None or wanted == self._is_watched:
            return
        if wanted:
            self._loop.watch(self._source, READ, self._ready)
        else:
            self._loop.forget(self._source)
        self._is_watched = wanted

    def _move(self, limit: int) -> bool:
        """Move up to `limit` bytes; return whether there may be more."""
        assert self._source is not None
        try:
            count = self._splice(limit)
        except BlockingIOError:
            self.is_stuck = False
            return False
        except OSError as error:
            if error.errno in _NO_ROOM:
                self._wait_for_room()
                return False
            if error.errno != errno.EIO:  # what a terminal says when nobody holds it any more
                log.event("error", "a program's output cannot be kept", error=str(error))
            count = 0
        if count == 0:
            self._end()
            return False
        self.is_stuck = False
        self.size += count
        if self._held:
            self._wait_for_room()
        self._reserve()
        self._trim()
        self._grew(count)
        return True

    def _splice(self, limit: int) -> int:
        assert self._source is not None
        if self._is_pipe:
            return os.splice(self._source, self._file, limit, offset_dst=self.size, flags=os.SPLICE_F_NONBLOCK)
        if not self._held:
            self._held = os.read(self._source, min(limit, 2**16))
        written = os.pwrite(self._file, self._held, self.size)
        self._held = self._held[written:]
        return written

    def _wait_for_room(self) -> None:
        if not self.is_stuck:
            log.event("warning", "the disk is full: a program waits for its output to be kept")
        self.is_stuck = True
        if self._retry is None:
            self._retry = self._loop.later(_FULL_PAUSE, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        if self._source is not None and (room := self._room()) > 0:
            self._move(room)  # what is held shows on no descriptor
        self._watch()

    def _trim(self) -> None:
        """Let go of the oldest bytes: what is over `keep`, or, where the program waits, what has arrived."""
        if self._waits:
            upto = self._acknowledged if self._room() <= 0 or self.is_stuck else 0
        else:
            upto = self.size - self._keep
            if upto - self.start < _GRAIN:  # each time is a few system calls
                return
        if upto <= self.start:
            return
        if not self._note(upto):  # before the bytes are gone, so that they are never taken for zeros
            return
        self.start = upto
        try:
            kernel.punch_hole(self._file, 0, upto)
        except OSError as error:
            self._warn("this file system gives no space of output back", error)

    def _reserve(self) -> None:
        """Note where the output begins while there is room for it: a full disk must not keep it from being let go of.
        Few programs wait, and few write a lot; the others are spared another file."""
        if not self._start.is_made and (self._waits or self.size >= _SMALL):
            self._note(self.start)

    def _note(self, start: int) -> bool:
        try:
            self._start.write(start)
        except OSError as error:
            self._warn("where a program's output begins cannot be noted, so all of it stays", error)
            return False
        return True

    def _warn(self, sentence: str, error: OSError) -> None:
        """Log it once: whatever it is, it is so again a moment later."""
        if sentence not in self._warned:
            self._warned.add(sentence)
            log.event("warning", sentence, error=str(error))

    def _end(self) -> None:
        self.is_over = True
        self.is_stuck = False
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._source is not None:
            if self._is_watched:
                self._loop.forget(self._source)
                self._is_watched = False
            os.close(self._source)
            self._source = None


def make_pipe(path: Path, uid: int, gid: int) -> None:
    """Make the pipe that a program writes to, for its account to open again as /dev/stdout. Raises OSError."""
    path.unlink(missing_ok=True)
    os.mkfifo(path, 0o600)
    os.chown(path, uid, gid, follow_symlinks=False)


def open_pipe(path: Path) -> tuple[int, int]:
    """Open a pipe by its name; return our end, which does not block, and the program's.

    The program's is open for both directions, so that a write never fails for want of a reader (pipe(7), fifo(7)).
    """
    ours = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return ours, os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except BaseException:
        os.close(ours)
        raise


class _Number:
    """A number in a file, made with the first that is written.

    Attributes:
        is_made: whether it has been written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self.is_made = False

    def read(self) -> int | None:
        """Return it, 0 where there is no file, or None where there is something else in it, as after a power cut."""
        try:
            return int(self._path.read_bytes())
        except FileNotFoundError:
            return 0
        except ValueError:
            return None

    def write(self, number: int) -> None:
        if self._file is None:
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        os.pwrite(self._file, b"%020d" % number, 0)
        self.is_made = True

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
