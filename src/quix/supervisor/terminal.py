"""A pseudo-terminal for a run (pty(7))."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

from msgspec import Struct

from quix.wire.runs import Terminal

_MODE = 0o620  # as pts(4) has it: others may not read


class Pty(Struct, frozen=True):
    """Our end, which does not block, and the program's, open and by its name."""

    ours: int
    theirs: int
    path: str


def open_pty(size: Terminal, uid: int, gid: int) -> Pty:
    """Open a terminal that belongs to the programs' account. Raises OSError."""
    ours, theirs = os.openpty()
    try:
        resize(ours, size)
        os.set_blocking(ours, False)
        os.fchown(theirs, uid, gid)
        os.fchmod(theirs, _MODE)
        return Pty(ours, theirs, os.ttyname(theirs))
    except BaseException:
        os.close(ours)
        os.close(theirs)
        raise


def resize(terminal: int, size: Terminal) -> None:
    """Tell a terminal its size; the program is sent SIGWINCH by the kernel (ioctl_tty(2))."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", size.rows, size.columns, 0, 0))
