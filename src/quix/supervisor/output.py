"""What a run writes: one spool for each of its streams."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from quix.supervisor.loop import Loop
from quix.supervisor.run import Run
from quix.supervisor.spool import Spool, make_pipe, open_pipe
from quix.wire.runs import Chunk, StreamName

_STREAMS: Final[tuple[StreamName, ...]] = ("stdout", "stderr")

_SUFFIXES: Final = tuple(f".{stream}{more}" for stream in _STREAMS for more in ("", ".start", ".pipe"))


class Output:
    """The output of one run, also across its restarts and after its end."""

    def __init__(self, folder: Path, run: Run, loop: Loop, wrote: Callable[[int], None]) -> None:
        """Open what there is. `wrote` is called with the bytes of both streams together whenever there are more.

        Raises:
            OSError: a file cannot be opened.
        """
        self._pipes = {stream: folder / f"{run.id}.{stream}.pipe" for stream in _STREAMS}
        self._wrote = wrote
        self._spools: dict[StreamName, Spool] = {}
        try:
            for stream in _STREAMS:
                self._spools[stream] = Spool(
                    folder / f"{run.id}.{stream}", loop, run.options.keep, waits=run.waits, grew=self._grew
                )
        except BaseException:
            self.close()
            raise

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes written so far to standard output and standard error."""
        return self._spools["stdout"].size, self._spools["stderr"].size

    @property
    def pipes(self) -> list[Path]:
        """The pipes' names, which a program must be able to open again."""
        return [*self._pipes.values()]

    @property
    def sources(self) -> list[int]:
        """The ends of the pipes that are read from; none for a terminal."""
        return [spool.pipe for spool in self._spools.values() if spool.pipe is not None]

    def open_pipes(self, uid: int, gid: int) -> list[int]:
        """Make the pipes and follow them; return the program's ends of both. Raises OSError."""
        theirs: list[int] = []
        try:
            for stream, path in self._pipes.items():
                make_pipe(path, uid, gid)
                ours, end = open_pipe(path)
                theirs.append(end)
                self._spools[stream].feed(ours)
        except BaseException:
            for descriptor in theirs:
                os.close(descriptor)
            raise
        return theirs

    def follow_terminal(self, ours: int, uid: int, gid: int) -> int:
        """Follow a terminal; all that comes from it is standard output. Return a pipe's end that is good for nothing
        but `quix.supervisor.spawn.Plan.witness`. Raises OSError."""
        self._spools["stdout"].feed(ours)
        make_pipe(self._pipes["stdout"], uid, gid)
        reading, end = open_pipe(self._pipes["stdout"])
        os.close(reading)
        return end

    def follow_again(self, terminal: int | None) -> None:
        """Follow what a program writes that an earlier supervisor started: its pipes, where it has them, or a copy of
        our end of its terminal. Raises OSError."""
        if terminal is not None:
            self._spools["stdout"].feed(os.dup(terminal))
            return
        for stream, path in self._pipes.items():
            try:
                source = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                continue
            self._spools[stream].feed(source)

    def drain(self) -> bool:
        """Take all that a program left that has ended; False where the disk has no room for it yet."""
        done = [spool.drain() for spool in self._spools.values()]
        if not all(done):
            return False
        for path in self._pipes.values():
            path.unlink(missing_ok=True)
        return True

    def read(self, stdout: int, stderr: int, limit: int) -> list[Chunk]:
        """Return what follows these offsets, up to `limit` bytes together; neither stream keeps the other out."""
        after = {"stdout": stdout, "stderr": stderr}
        waiting = [stream for stream in _STREAMS if self._spools[stream].size > after[stream]]
        chunks = []
        for place, stream in enumerate(waiting, 1):
            # Half for the first of two, and what is left for the last.
            offset, data = self._spools[stream].read(after[stream], limit if place == len(waiting) else limit // 2)
            limit -= len(data)
            if data or offset > after[stream]:
                chunks.append(Chunk(stream=stream, offset=offset, data=data))
        return chunks

    def acknowledge(self, stdout: int, stderr: int) -> None:
        """What is before these offsets has arrived."""
        self._spools["stdout"].acknowledge(stdout)
        self._spools["stderr"].acknowledge(stderr)

    def wait_no_more(self) -> None:
        """Let the oldest bytes go from here on, instead of having the program wait."""
        for spool in self._spools.values():
            spool.wait_no_more()

    def close(self) -> None:
        for spool in self._spools.values():
            spool.close()

    def _grew(self, _count: int) -> None:
        self._wrote(sum(self.sizes))


def remove(folder: Path, run_id: str) -> None:
    """Remove all that was kept of a run's output."""
    for suffix in _SUFFIXES:
        (folder / (run_id + suffix)).unlink(missing_ok=True)


def was_executed(folder: Path, run_id: str) -> bool:
    """Return whether a run's pipe says that its program was about to be executed, if not more."""
    try:
        return (folder / f"{run_id}.stdout.pipe").stat().st_mode & stat.S_IXUSR != 0
    except FileNotFoundError:
        return False


def bytes_on_disk(folder: Path, run_id: str) -> int:
    """Return the space that a run's output takes."""
    total = 0
    for stream in _STREAMS:
        with contextlib.suppress(FileNotFoundError):
            total += (folder / f"{run_id}.{stream}").stat().st_blocks * 512
    return total


def sizes(folder: Path, run_id: str) -> tuple[int, int]:
    """Return the bytes that a run has written to standard output and standard error."""
    stdout, stderr = (_size(folder / f"{run_id}.{stream}") for stream in _STREAMS)
    return stdout, stderr


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
