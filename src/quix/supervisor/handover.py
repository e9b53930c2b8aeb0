"""Descriptors that a process is handed over by whoever starts it (sd_listen_fds(3))."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

FIRST: Final = 3
"""The number of the first one."""

_WHOEVER: Final = "0"
"""In LISTEN_PID, by an agent: it cannot know the pid of what it is about to start."""


def environment(names: Sequence[str]) -> dict[str, str]:
    """Return the variables that tell a process the names of the descriptors from `FIRST` on."""
    return {"LISTEN_PID": _WHOEVER, "LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names)}


def names() -> list[str]:
    """Return the names of the descriptors from `FIRST` on that were handed to this process, and forget them."""
    pid, count, names = (os.environ.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS", "FDNAMES"))
    if pid not in (str(os.getpid()), _WHOEVER) or not count.isdecimal():
        return []
    return (names.split(":") + [""] * int(count))[: int(count)]
