"""Descriptors that a process is handed over, by names, by whoever starts it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

_FIRST: Final = 3  # SD_LISTEN_FDS_START
_VARIABLE: Final = "QUIX_DESCRIPTORS"


def environment(kept: Iterable[tuple[str, int]]) -> dict[str, str]:
    """Return what tells a process the names and numbers of the descriptors that it is left."""
    return {_VARIABLE: ":".join(f"{name}={number}" for name, number in kept)}


def received() -> dict[int, str]:
    """Return the descriptors that were handed to this process, each with its name, and forget of them: by an agent (see
    `environment`), or by a service manager (sd_listen_fds(3))."""
    pid, count, names = (os.environ.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS", "FDNAMES"))
    pairs = (pair.rpartition("=") for pair in os.environ.pop(_VARIABLE, "").split(":") if pair)
    found = {int(number): name for name, _, number in pairs}
    if pid == str(os.getpid()) and count.isdecimal():
        found.update(enumerate((names.split(":") + [""] * int(count))[: int(count)], _FIRST))
    return found


def close_others(received: Iterable[int]) -> None:
    """Close everything but the standard streams and those."""
    begin = _FIRST
    for number in sorted(received):
        os.closerange(begin, number)
        begin = number + 1
    os.closerange(begin, os.sysconf("SC_OPEN_MAX"))
