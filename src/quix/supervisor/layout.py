"""The folders of a backend: `DIR/agent` for Quix alone, `DIR/data` for programs alone.

DIR itself is 0711: programs must be able to walk through it, and nobody need see what it holds.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from msgspec import Struct

from quix.exits import Exit, QuixError
from quix.supervisor.account import Account


class Layout(Struct, frozen=True):
    """Where things are below a data folder."""

    root: Path

    @property
    def agent(self) -> Path:
        """What programs must not reach: token, journal, policy, the supervisor's socket."""
        return self.root / "agent"

    @property
    def data(self) -> Path:
        """The programs' working and home folder."""
        return self.root / "data"

    @property
    def runs(self) -> Path:
        return self.agent / "runs"

    @property
    def socket(self) -> Path:
        return self.agent / "supervisor.sock"

    @property
    def lock(self) -> Path:
        return self.agent / "supervisor.lock"

    @property
    def key(self) -> Path:
        return self.agent / "supervisor.key"

    @property
    def log(self) -> Path:
        return self.agent / "supervisor.log"

    def prepare_agent(self) -> None:
        """Make DIR and DIR/agent, or give those that exist their modes.

        Raises:
            QuixError: a folder cannot be made, or belongs to another user, who could swap what is in it.
        """
        _own_folder(self.root, 0o711, follow=True)
        _own_folder(self.agent, 0o700)

    def prepare(self, account: Account) -> None:
        """Make all folders, DIR/data belonging to `account`.

        Raises:
            QuixError: as `prepare_agent`.
        """
        self.prepare_agent()
        _own_folder(self.runs, 0o700)
        _data_folder(self.data, account)

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


def _data_folder(folder: Path, account: Account) -> None:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            if account.switches and (found.st_uid, found.st_gid) != (account.uid, account.gid):
                os.fchown(descriptor, account.uid, account.gid)
            os.fchmod(descriptor, stat.S_IRWXU)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise QuixError(f"data_dir: {folder}: {error.strerror}", Exit.CONFIG) from error


def _may_walk(folder: Path, account: Account) -> bool:
    found = folder.stat()
    if found.st_uid == account.uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == account.gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)
