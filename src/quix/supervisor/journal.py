"""The runs that live, on disk: what a supervisor's successor finds its programs by.

One small file a run. It is on the disk before the program is executed, so there is no moment at which a program runs
that a successor would not know. The pid is added afterwards; a successor that finds none looks for the run's mark.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

import msgspec

from quix.supervisor import log
from quix.supervisor.run import Run

_SUFFIX: Final = ".json"
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
        """Put a run that is about to start on the disk. Raises OSError where that fails."""
        name = run.id + _SUFFIX
        try:
            self._write(name, os.O_CREAT | os.O_EXCL, run, sync=True)
            os.fsync(self._descriptor)
        except BaseException:
            self._unlink(name)
            raise

    def started(self, run: Run) -> None:
        """Write over a plan what became known by the start. Raises OSError where that fails.

        In place and not synced: a pid outlives a supervisor that is killed, and so does what was written in one call;
        neither outlives the machine. It is never shorter than the plan, whose pid is one digit.
        """
        self._write(run.id + _SUFFIX, 0, run, sync=False)

    def _write(self, name: str, flags: int, run: Run, *, sync: bool) -> None:
        descriptor = self._open(name, os.O_WRONLY | flags)
        try:
            data = _encode(run)
            if os.write(descriptor, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, run_id: str) -> None:
        """Forget a run. Not synced: after a power cut no program lives, and the boot id says so."""
        self._unlink(run_id + _SUFFIX)

    def read_all(self) -> list[Run]:
        """Return every run on disk. A file that is no run's is renamed to `.bad` and logged; never raises for one."""
        runs = []
        for name in sorted(os.listdir(self._descriptor)):  # noqa: PTH208 - a descriptor
            if not name.endswith(_ASIDE):
                run = self._read(name)
                if run is None:
                    self._set_aside(name)
                else:
                    runs.append(run)
        return runs

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
