"""What is kept of programs while there is no supervisor, and by whom.

A program that ends before the next supervisor is there leaves its exit status with its pidfd (Linux 6.15), and what it
wrote in its pipes; its terminal and its input end with the last descriptor of them. So somebody else is given one of
each, and hands them to the next supervisor: a service manager (systemd's file descriptor store: sd_notify(3), FDSTORE;
sd_listen_fds(3)), or the agent that starts its own supervisor (`quix.supervisor.keeper`).
"""

from __future__ import annotations

import fcntl
import itertools
import os
import signal
from collections.abc import Iterable, Sequence
from typing import Protocol

from quix import notify
from quix.supervisor import handover, log, protocol
from quix.supervisor.backlog import Backlog
from quix.supervisor.listener import Connection
from quix.supervisor.living import Living
from quix.supervisor.run import Run


class Keeper(Protocol):
    """Whoever keeps descriptors by names."""

    @property
    def is_there(self) -> bool:
        """Whether it still does."""

    def keep(self, name: str, descriptors: Sequence[int]) -> None:
        """Take copies of them, besides all that have other names."""

    def forget(self, name: str) -> None:
        """Let go of those of a name."""


class Left:
    """What was left of one program; whoever takes something of it has to close it."""

    def __init__(self) -> None:
        self.pidfd: int | None = None
        self.terminal: int | None = None
        self.input: int | None = None
        self.backlog: Backlog | None = None

    def add(self, descriptor: int) -> None:
        """Take a descriptor over. One that can be had by its name, as a pipe of output can, is closed."""
        superfluous: int | None = descriptor
        if _is_pidfd(descriptor):
            self.pidfd, superfluous = descriptor, self.pidfd
        elif os.isatty(descriptor):
            self.terminal, superfluous = descriptor, self.terminal
        elif (backlog := Backlog.find(descriptor)) is not None:
            superfluous = self.backlog.descriptor if self.backlog is not None else None
            self.backlog = backlog
        elif fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
            self.input, superfluous = descriptor, self.input
        if superfluous is not None:
            os.close(superfluous)

    def close(self) -> None:
        """Let go of all that nobody took."""
        for descriptor in (self.pidfd, self.terminal, self.input):
            if descriptor is not None:
                os.close(descriptor)
        if self.backlog is not None:
            self.backlog.close()


class FdStore:
    """The descriptors of one supervisor's programs. Without a keeper it does nothing."""

    def __init__(self) -> None:
        """Take over what an earlier supervisor left, and close all else; programs inherit nothing of it."""
        self._left: dict[str, list[int]] = {}
        received = handover.received()
        handover.close_others(received)
        for descriptor, name in received.items():
            os.set_inheritable(descriptor, False)
            self._left.setdefault(_program(name), []).append(descriptor)
        self._kept: dict[Keeper, set[str]] = {}
        if notify.has_manager():
            self._kept[_ServiceManager()] = set(received.values())

    def add(self, keeper: Keeper) -> None:
        """Have somebody else keep what `keep` is told of from now on."""
        self._kept[keeper] = set()

    def keep(self, living: Living) -> None:
        """Have kept what a program has now, and nothing that it had before."""
        program = _name(living.run)
        wanted = {program: living.descriptors}
        if living.feed is not None:
            # Each by a name of its own: of two names for one descriptor systemd keeps the first.
            wanted |= {f"{program}.{name}": [each] for name, each in living.feed.descriptors.items()}
        for keeper, names in self._keepers():
            for name in wanted.keys() - names:
                keeper.keep(name, wanted[name])
                names.add(name)
            self._forget(keeper, names, {name for name in names if _program(name) == program} - wanted.keys())

    def forget(self, run: Run) -> None:
        """All is known of a run's program."""
        program = _name(run)
        for keeper, names in self._keepers():
            self._forget(keeper, names, {name for name in names if _program(name) == program})

    def take(self, run: Run) -> Left:
        """Return what an earlier supervisor left of a run's program."""
        left = Left()
        for descriptor in self._left.pop(_name(run), ()):
            left.add(descriptor)
        return left

    def settle(self, runs: Iterable[Run]) -> None:
        """Those runs have been taken over: let go of all else."""
        for descriptor in itertools.chain(*self._left.values()):
            os.close(descriptor)
        self._left.clear()
        programs = {_name(run) for run in runs}
        for keeper, names in self._keepers():
            self._forget(keeper, names, {name for name in names if _program(name) not in programs})

    def _keepers(self) -> list[tuple[Keeper, set[str]]]:
        self._kept = {keeper: names for keeper, names in self._kept.items() if keeper.is_there}
        return [*self._kept.items()]

    @staticmethod
    def _forget(keeper: Keeper, names: set[str], some: set[str]) -> None:
        names -= some
        for name in some:
            keeper.forget(name)


class AgentKeeper:
    """The agent at the other end of a connection (`quix.supervisor.protocol.Keep`)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def is_there(self) -> bool:
        return self._connection.is_open

    def keep(self, name: str, descriptors: Sequence[int]) -> None:
        try:
            self._connection.send(protocol.encode_kept(name, len(descriptors)), descriptors)
        except OSError as error:
            log.event("warning", "the agent could not be given what to keep", name=name, error=str(error))

    def forget(self, name: str) -> None:
        self._connection.send(protocol.encode_kept(name, 0))


class _ServiceManager:
    is_there = True

    def keep(self, name: str, descriptors: Sequence[int]) -> None:
        # A pipe that nobody writes to any more, and a process that has ended, are what is to be kept.
        self._tell("FDSTORE=1", f"FDNAME={name}", "FDPOLL=0", descriptors=descriptors)

    def forget(self, name: str) -> None:
        self._tell("FDSTOREREMOVE=1", f"FDNAME={name}")

    @staticmethod
    def _tell(*facts: str, descriptors: Sequence[int] = ()) -> None:
        if obstacle := notify.tell(*facts, descriptors=descriptors):
            log.event("warning", "the service manager could not be told", fact=facts[0], error=obstacle)


def _name(run: Run) -> str:
    # Each start of a run is a program of its own.
    return f"run.{run.id}.{run.restarts}"


def _program(name: str) -> str:
    """Return what `_name` gave, of a name that begins with it."""
    return ".".join(name.split(".")[:3])


def _is_pidfd(descriptor: int) -> bool:
    try:
        signal.pidfd_send_signal(descriptor, 0)
    except (ProcessLookupError, PermissionError):
        return True
    except OSError:  # EBADF: it is something else
        return False
    return True
