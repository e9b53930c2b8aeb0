"""The file that the owner's policy is in, read anew whenever it changes."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from quix.exits import Exit, QuixError
from quix.supervisor.policy import DENY_ALL, KINDS, Kind, Policy, parse

SYSTEM: Final = Path("/etc/quix/policy.toml")
NAME: Final = "policy.toml"

_MAX_BYTES: Final = 2**20

Mark = tuple[Path, int, int, int, int, int]
"""What tells one version of a file from another; with the time of the last chmod or chown."""


class PolicyFile:
    """What is allowed at this moment: `file`, or else the first there is of /etc/quix/policy.toml and
    `data_dir`/policy.toml, or else everything; of that, only the kinds in `allow`.

    `tell(level, sentence)` is for the owner's log: level `info` or `error`.
    """

    def __init__(
        self, file: Path | None, data_dir: Path, allow: Collection[Kind], tell: Callable[[str, str], None]
    ) -> None:
        self._places = (SYSTEM, data_dir / NAME) if file is None else (file,)
        self._is_needed = file is not None
        self._allow = allow
        self._tell = tell
        self._known: Mark | None = None
        self._policy = Policy().narrowed(allow)
        self._fault = ""

    @property
    def current(self) -> Policy:
        """The policy as the file says it now; while the file cannot be used, nothing is allowed."""
        try:
            self.load()
        except QuixError as error:
            if str(error) != self._fault:
                self._fault = str(error)
                self._tell("error", f"everything is refused until this is mended: {error}")
            return DENY_ALL
        if self._fault:
            self._fault = ""
            self._tell("info", "the policy can be read again")
        return self._policy

    def load(self) -> None:
        """Read the file if it changed since it was last read.

        Raises:
            QuixError: it cannot be read, does not say a policy, or others than its owner can change it.
        """
        mark = self._find()
        if mark == self._known:
            return
        self._known = None  # until it has been read to its end: a version that cannot be used is tried each time
        if mark is not None:
            self._is_needed = True
            self._policy = _read(mark[0]).narrowed(self._allow)
            self._tell("info", f"policy read: {mark[0]}")
        self._known = mark

    def _find(self) -> Mark | None:
        for place in self._places:
            try:
                found = place.lstat()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise _unreadable(place, error) from error
            return place, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
        if self._is_needed:
            # Also where one of the usual places had it: a file that goes missing must not open the machine.
            raise _unusable(self._places[-1], "there is no such file; put it there, or start the agent without one")
        return None


def _read(path: Path) -> Policy:
    try:
        _check_folders(path)
        # Without following a link or waiting for a FIFO's writer; what it is, is then asked of the opened file.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _check_file(path, os.fstat(descriptor))
            data = os.read(descriptor, _MAX_BYTES + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(data) > _MAX_BYTES:
        raise _unusable(path, f"larger than {_MAX_BYTES} bytes")
    if not data.strip():
        # As a file is while it is being written, and after a disk was full.
        raise _unusable(path, 'it is empty; to allow everything, write: allow = ["' + '", "'.join(KINDS) + '"]')
    try:
        return parse(tomllib.loads(data.decode()))
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError are of its kind
        raise _unusable(path, str(error)) from error


def _check_file(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise _unusable(path, "it must be a regular file")
    _check_owner(path, found)
    if found.st_mode & 0o022:
        raise _unusable(path, f"others can change it; run: chmod go-w {path}")


def _check_folders(path: Path) -> None:
    """Whoever may rename a folder on the way to a file can put another in its place."""
    for folder in dict.fromkeys([*path.absolute().parents, *path.resolve().parents]):
        found = folder.stat()
        _check_owner(folder, found)
        is_nearest = folder in (path.absolute().parent, path.resolve().parent)
        # In a folder such as /tmp, others may add names but not take away those of other users (S_ISVTX, inode(7)).
        if found.st_mode & 0o022 and (is_nearest or not found.st_mode & stat.S_ISVTX):
            raise _unusable(path, f"others can change its folder; run: chmod go-w {folder}")


def _check_owner(path: Path, found: os.stat_result) -> None:
    if found.st_uid not in (0, os.geteuid()):
        raise _unusable(path, f"it belongs to uid {found.st_uid}; run: chown {os.geteuid()} {path}")


def _unreadable(path: Path, error: OSError) -> QuixError:
    return _unusable(
        path, f"{error.strerror}; uid {os.geteuid()} must be able to read it, and it must be a regular file"
    )


def _unusable(path: Path, detail: str) -> QuixError:
    return QuixError(f"policy: {path}: {detail}", Exit.CONFIG)
