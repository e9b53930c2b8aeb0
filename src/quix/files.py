"""Files that hold secrets: tokens, keys, passwords, VPN configurations."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from quix.exits import Exit, QuixError

__all__ = ["locked", "read_private", "write_private", "write_public"]


def write_private(path: Path, data: bytes) -> None:
    """Make `path` hold `data`, readable by its owner only (0600), whole or not at all.

    The data is on the disk before the name points to it and the name is on the disk before this returns, so
    neither a crash nor a power cut leaves half a file. Folders that are missing are made with mode 0700; the
    mode of those that exist is left alone.

    Raises:
        OSError: the file could not be written; what `path` held before is still there.
    """
    _write(path, data, 0o600)


def write_public(path: Path, data: bytes) -> None:
    """As `write_private`, for a file that anybody may read (0644) who may walk to it."""
    _write(path, data, 0o644)


def _write(path: Path, data: bytes, mode: int) -> None:
    _make_folders(path.parent)
    # mkstemp makes a new file of mode 0600 under a name nobody can have guessed (mkstemp(3)).
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def read_private(path: Path) -> bytes:
    """Return what `path` holds, where nobody but its owner (and root) can read or change it.

    Raises:
        QuixError: the file's group or everybody may read or write it.
        OSError: the file cannot be read; FileNotFoundError where there is none.
    """
    with path.open("rb") as stream:
        # Asked of the open file, so that it cannot be another one than the one that is read.
        mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
        if mode & 0o077:
            raise QuixError(
                f"{path}: holds a secret, and its mode {mode:04o} lets others at it; run: chmod 600 {path}", Exit.CONFIG
            )
        return stream.read()


def _make_folders(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    # One at a time, since mkdir(parents=True) gives its mode to the last folder only.
    folder.mkdir(mode=0o700, exist_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, otherwise: str) -> Iterator[None]:
    """Hold an exclusive lock on `path` while the block runs; the kernel lets go of it however the process ends.

    Raises:
        QuixError: somebody else holds it; `otherwise` says who that is.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise QuixError(f"{path.parent}: {otherwise}", Exit.CONFIG) from error
        yield
    finally:
        os.close(descriptor)
