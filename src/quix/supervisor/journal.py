"""The runs of a backend, on disk: what a supervisor's successor finds its programs by.

One small file a run. It is on the disk before the program is executed, so there is no moment at which a program runs
that a successor would not know, and no key that could start a second one. The pid is added afterwards; a successor that
finds none looks for the run's mark. How a run ended is there until it has been told, and a while longer.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from quix.supervisor import log
from quix.supervisor.run import Run

_SUFFIX: Final = ".json"
_NEW: Final = ".new"
_ASIDE: Final = ".bad"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Run).decode


class Journal:
    """The files of a folder that programs cannot reach; the folder must exist."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._descriptor)

    def plan(self, run: Run) -> None:
        """Put a run that is about to start on the disk. Raises OSError where that fails, or where it is there."""
        name = run.id + _SUFFIX
        self._write(name, os.O_EXCL, run, sync=True)
        try:
            os.fsync(self._descriptor)
        except OSError:
            self._unlink(name)
            raise

    def update(self, run: Run, *, sync: bool = False) -> None:
        """Put what became known of a run in place of what was there. Raises OSError where that fails.

        Without `sync` it outlives a supervisor that is killed, but perhaps not a machine that loses power: enough for a
        pid, which does not outlive that either. With `sync` it is on the disk.
        """
        name = run.id + _SUFFIX
        self._write(name + _NEW, os.O_TRUNC, run, sync=sync)
        os.rename(name + _NEW, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        if sync:
            os.fsync(self._descriptor)

    def remove(self, run_id: str) -> None:
        """Forget a run. Not synced: after a power cut no program lives, and the boot id says so."""
        self._unlink(run_id + _SUFFIX)

    def read_all(self) -> list[Run]:
        """Return every run on disk. A file that is no run's is renamed to `.bad` and logged; never raises for one.

        An update that an earlier supervisor did not finish is removed: what was before it holds.
        """
        runs = []
        for name in sorted(os.listdir(self._descriptor)):  # noqa: PTH208 - a descriptor
            if name.endswith(_SUFFIX + _NEW):
                self._unlink(name)
            elif name.endswith(_SUFFIX):
                run = self._read(name)
                if run is None:
                    self._set_aside(name)
                else:
                    runs.append(run)
        return runs

    def _write(self, name: str, flags: int, run: Run, *, sync: bool) -> None:
        descriptor = self._open(name, os.O_WRONLY | os.O_CREAT | flags)
        try:
            _write_whole(descriptor, _encode(run))
            if sync:
                os.fsync(descriptor)
        except BaseException:
            self._unlink(name)
            raise
        finally:
            os.close(descriptor)

    def _read(self, name: str) -> Run | None:
        try:
            with os.fdopen(self._open(name, os.O_RDONLY), "rb") as stream:
                run = _decode(stream.read())
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return run if name == run.id + _SUFFIX else None

    def _set_aside(self, name: str) -> None:
        log.event("warning", "a file in the journal is no run's; set aside", file=str(self._folder / name))
        try:
            os.rename(name, name + _ASIDE, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        except OSError as error:
            log.event("warning", "it could not be renamed", file=name, error=str(error))

    def _open(self, name: str, flags: int) -> int:
        # O_NONBLOCK: a pipe that somebody put there must not hold the supervisor up.
        return os.open(name, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600, dir_fd=self._descriptor)

    def _unlink(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self._descriptor)
        except FileNotFoundError:
            return
        except OSError as error:
            log.event("warning", "a file in the journal could not be removed", file=name, error=str(error))


def _write_whole(descriptor: int, data: bytes) -> None:
    # A disk that becomes full takes what it can; the next write then says so.
    while data:
        data = data[os.write(descriptor, data) :]
