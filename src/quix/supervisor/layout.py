"""The folders of a backend, each for one alone: `DIR/supervisor`, `DIR/agent`, and `DIR/data` for programs.

DIR itself is 0711: programs must be able to walk through it, and nobody need see what it holds. Where the agent is
another user than the supervisor, DIR/supervisor is 0711 too, and holds two files for the agent: socket and key.
Whatever else is in it is closed to the agent by modes of its own.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from msgspec import Struct

from quix.exits import Exit, QuixError
from quix.supervisor.account import Account, Owner


class Layout(Struct, frozen=True):
    """Where things are below a data folder."""

    root: Path

    @property
    def supervisor(self) -> Path:
        """What only the supervisor may change: journal, lock, log, and the way to call it."""
        return self.root / "supervisor"

    @property
    def agent(self) -> Path:
        """What the agent keeps: token, VPN configurations. Its user may do there as it likes."""
        return self.root / "agent"

    @property
    def data(self) -> Path:
        """The programs' working and home folder."""
        return self.root / "data"

    @property
    def runs(self) -> Path:
        return self.supervisor / "runs"

    @property
    def socket(self) -> Path:
        return self.supervisor / "socket"

    @property
    def lock(self) -> Path:
        return self.supervisor / "lock"

    @property
    def key(self) -> Path:
        return self.supervisor / "key"

    @property
    def log(self) -> Path:
        return self.supervisor / "log"

    @property
    def has_service(self) -> bool:
        """Whether the supervisor here is root's, which this process, not being root, can call and no more.

        Raises:
            QuixError: this process may not even look.
        """
        if os.geteuid() == 0:
            return False
        try:
            return self.supervisor.lstat().st_uid == 0
        except FileNotFoundError:
            return False
        except OSError as error:
            raise QuixError(f"data_dir: {self.supervisor}: {error.strerror}", Exit.CONFIG) from error

    def prepare_agent(self) -> None:
        """Make DIR and DIR/agent for this process's own user, or give those that exist their modes.

        Raises:
            QuixError: a folder cannot be made, or belongs to another user, who could swap what is in it.
        """
        if not self.has_service:
            _own_folder(self.root, 0o711, follow=True)
        elif not _is_own(self.agent):
            raise QuixError(
                f"data_dir: {self.agent} is not uid {os.geteuid()}'s; the supervisor here makes it with "
                f"`quix supervisor --agent-user={os.geteuid()}`",
                Exit.CONFIG,
            )
        _own_folder(self.agent, 0o700)

    def prepare_supervisor(self, agent: Owner | None = None) -> None:
        """Make DIR and DIR/supervisor, which `agent`, where it is another user than the supervisor, may walk through.

        Raises:
            QuixError: as `prepare_agent`.
        """
        _own_folder(self.root, 0o711, follow=True)
        _own_folder(self.supervisor, 0o700 if agent is None else 0o711)

    def prepare(self, account: Account, agent: Owner | None = None) -> None:
        """Make all folders of the supervisor, DIR/data belonging to `account` and DIR/agent to `agent`.

        Raises:
            QuixError: as `prepare_agent`.
        """
        self.prepare_supervisor(agent)
        _own_folder(self.runs, 0o700)
        if agent is not None:
            _given_folder(self.agent, agent)
        _given_folder(self.data, Owner(account.uid, account.gid) if account.switches else None)

    def obstacle(self, account: Account) -> Path | None:
        """Return the first folder on the way to DIR/data that `account` may not walk through, or None."""
        if account.uid == 0:
            return None
        return next((folder for folder in reversed(self.data.parents) if not _may_walk(folder, account)), None)


def lock(layout: Layout) -> int | None:
    """Take the lock of the data folder; return a descriptor that holds it, or None where another supervisor does."""
    descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _own_folder(folder: Path, mode: int, *, follow: bool = False) -> None:
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
        # Of the opened folder, never of a name that could be exchanged in between.
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
        try:
            owner = os.fstat(descriptor).st_uid
            if owner not in (0, os.geteuid()):
                raise QuixError(
                    f"data_dir: {folder} belongs to uid {owner}; run: chown {os.geteuid()} {folder}", Exit.CONFIG
                )
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise QuixError(f"data_dir: {folder}: {error.strerror}", Exit.CONFIG) from error


def _given_folder(folder: Path, owner: Owner | None) -> None:
    """Make a folder that is somebody else's; what is in it is theirs, and nothing of it is looked at."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            if owner is not None and (found.st_uid, found.st_gid) != (owner.uid, owner.gid):
                os.fchown(descriptor, owner.uid, owner.gid)
            os.fchmod(descriptor, stat.S_IRWXU)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise QuixError(f"data_dir: {folder}: {error.strerror}", Exit.CONFIG) from error


def _is_own(folder: Path) -> bool:
    try:
        return folder.lstat().st_uid == os.geteuid()
    except OSError:
        return False


def _may_walk(folder: Path, account: Account) -> bool:
    found = folder.stat()
    if found.st_uid == account.uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == account.gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)
