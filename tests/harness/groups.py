"""Control groups of this machine for tests: hierarchies to make groups in, programs in groups, and a look around."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from quix.supervisor import groupfs
from quix.supervisor.cgroup import Cgroup
from quix.supervisor.hierarchies import Hierarchy, hierarchies

PYTHON = "/usr/bin/python3"


def wait_until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Wait for a condition; fail where it does not come true in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.005)


@contextlib.contextmanager
def usable_hierarchies() -> Iterator[list[Hierarchy]]:
    """This machine's hierarchies, with a position of their own in version 2: the group that the tests run in is full of
    others' processes there, and cannot hand on its controllers."""
    made: list[Path] = []
    found: list[Hierarchy] = []
    try:
        for each in hierarchies():
            position = each.position
            if each.version == 2:
                _hand_on(each.mount)
                position = each.mount / f"quixtest-{secrets.token_hex(6)}"
                position.mkdir()
                made.append(position)
            found.append(
                Hierarchy(version=each.version, mount=each.mount, position=position, controllers=each.controllers)
            )
        yield found
    finally:
        for folder in made:
            for group in groupfs.below(folder):
                group.rmdir()


def _hand_on(top: Path) -> None:
    """Let groups below the root have what they need, where nobody has done so yet."""
    for name in {"memory", "pids"} & groupfs.words(top / "cgroup.controllers"):
        with contextlib.suppress(OSError):  # then what needs it says so
            groupfs.write(top / "cgroup.subtree_control", f"+{name}")


def groups_of(data_dir: Path, mounted: list[Hierarchy]) -> list[Path]:
    """All groups that there are for a data folder, and those below them."""
    part = f"-{data_dir.stat().st_ino:x}-"
    return [Path(folder) for each in mounted for folder, _, _ in os.walk(each.mount) if part in folder]


class Program:
    """A Python program in a group. It is a child, so that its end can be told from others'."""

    def __init__(self, group: Cgroup, script: str, *arguments: str) -> None:
        self._status: int | None = None
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _become(group, [PYTHON, "-c", script, *arguments])
        group.close()
        os.close(writing)
        os.read(reading, 1)  # it ends when the child has been executed
        os.close(reading)

    def end(self) -> int:
        """Wait for its end; return its status as `Popen.returncode` has it."""
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._status

    def is_running(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status is None

    def kill(self) -> None:
        if self.is_running():
            os.kill(self.pid, signal.SIGKILL)
            self.end()


def _become(group: Cgroup, argv: list[str]) -> NoReturn:
    try:
        group.join()
        os.execv(argv[0], argv)
    finally:
        os._exit(127)
