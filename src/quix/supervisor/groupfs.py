"""The files of control groups: how they are read and written (cgroup-v2.rst, "Interface Files"; cgroups(7)).

A group may be removed by its owner at any time; its files then do not exist, or can be opened no more.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from quix.supervisor import proc

_GONE = (errno.ENOENT, errno.ENODEV)
"""How a file answers that the group does not have, on opening; and one of a group that was removed, on reading."""


def read(path: Path) -> str | None:
    """Return what a file says, or None where there is no such file. Raises OSError where it may not be read."""
    try:
        return proc.read(str(path)).decode()
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise


def words(path: Path) -> frozenset[str]:
    """Return the words of a file; none where there is no such file."""
    return frozenset((read(path) or "").split())


def keyed(path: Path) -> dict[str, int]:
    """Return a file of lines of a name and a number; empty where there is no such file."""
    pairs = (line.partition(" ") for line in (read(path) or "").splitlines())
    return {name: int(number) for name, _, number in pairs}


def number(path: Path) -> int | None:
    """Return the number that is all a file says, or None where there is no such file."""
    text = read(path)
    return None if text is None else int(text)


def write(path: Path, value: str | int) -> None:
    """Write a value in one go. The file is never made: a group has the files that the kernel gives it.

    Raises:
        OSError: FileNotFoundError where there is no such file, or what the kernel says against the value.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, str(value).encode())
    finally:
        os.close(descriptor)


def inhabitants(group: Path) -> set[int]:
    """Return the processes that are in this very group. Those outside our pid namespace, which show as 0, are left out:
    they cannot be named."""
    return {int(pid) for pid in words(group / "cgroup.procs")} - {0}


def below(group: Path) -> Iterator[Path]:
    """Yield a group and all that are below it, the lowest first."""
    try:
        children = [entry.path for entry in os.scandir(group) if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        if error.errno in _GONE:
            return
        raise
    for child in children:
        yield from below(Path(child))
    yield group
