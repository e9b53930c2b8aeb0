"""What the service manager keeps of programs while there is no supervisor: systemd's file descriptor store.

A program that ends before the next supervisor is there leaves its exit status with its pidfd (Linux 6.15), and what it
wrote in its pipes; both are gone with the last descriptor of them. So the service manager is given one of each, and
hands them to the next supervisor (sd_notify(3), FDSTORE; sd_listen_fds(3)).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from typing import Final

from quix import notify
from quix.supervisor import log
from quix.supervisor.run import Run

_FIRST: Final = 3
_PREFIX: Final = "run."


class FdStore:
    """The descriptors of one supervisor's programs. Without a service manager it does nothing.

    Attributes:
        end: the first descriptor above all that were handed over.
    """

    def __init__(self) -> None:
        """Take over what an earlier supervisor left; programs inherit nothing of it."""
        self._inherited: dict[str, list[int]] = {}
        names = _handed_over()
        self.end = _FIRST + len(names)
        for descriptor, name in enumerate(names, _FIRST):
            os.set_inheritable(descriptor, False)
            self._inherited.setdefault(name, []).append(descriptor)
        self._kept = set(self._inherited)

    def keep(self, run: Run, pidfd: int, pipes: Iterable[int]) -> None:
        """Have a run's program kept: by its pidfd, and the ends of its pipes that are read from."""
        name = _name(run)
        if name in self._kept or not notify.has_manager():
            return
        self._kept.add(name)
        # A pipe that nobody writes to any more, and a process that has ended, are what is to be kept.
        _tell("FDSTORE=1", f"FDNAME={name}", "FDPOLL=0", descriptors=[pidfd, *pipes])

    def forget(self, run: Run) -> None:
        """All is known of a run's program."""
        self._drop(_name(run))

    def pidfd(self, run: Run) -> int | None:
        """Return the descriptor of a run's program that an earlier supervisor left, to be closed by whoever asks."""
        descriptors = self._inherited.get(_name(run), [])
        for descriptor in descriptors:
            if _is_pidfd(descriptor):
                descriptors.remove(descriptor)
                return descriptor
        return None

    def settle(self, runs: Iterable[Run]) -> None:
        """Those runs have been taken over: let go of all else."""
        for descriptors in self._inherited.values():
            for descriptor in descriptors:
                os.close(descriptor)
        left = self._inherited.keys() - {_name(run) for run in runs}
        self._inherited.clear()
        for name in left:
            self._drop(name)

    def _drop(self, name: str) -> None:
        if name in self._kept:
            self._kept.remove(name)
            _tell("FDSTOREREMOVE=1", f"FDNAME={name}")


def _handed_over() -> list[str]:
    """Return the names of the descriptors from the third on that were handed to this process."""
    pid, count, names = (os.environ.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS", "FDNAMES"))
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    return (names.split(":") + [""] * int(count))[: int(count)]


def _name(run: Run) -> str:
    # Each start of a run is a program of its own.
    return f"{_PREFIX}{run.id}.{run.restarts}"


def _is_pidfd(descriptor: int) -> bool:
    try:
        signal.pidfd_send_signal(descriptor, 0)
    except (ProcessLookupError, PermissionError):
        return True
    except OSError:  # EBADF: it is a pipe
        return False
    return True


def _tell(*facts: str, descriptors: Iterable[int] = ()) -> None:
    if obstacle := notify.tell(*facts, descriptors=[*descriptors]):
        log.event("warning", "the service manager could not be told", fact=facts[0], error=obstacle)
