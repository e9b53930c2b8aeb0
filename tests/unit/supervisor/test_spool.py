"""No byte of a program's output is lost, doubled or moved, whatever happens and when."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.disks import small_disk
from harness.loop import turn, turn_until
from quix.supervisor import kernel, log, spool
from quix.supervisor.loop import Loop
from quix.supervisor.spool import Spool, make_pipe, open_pipe

DATA = random.Random(7).randbytes(3 * 2**20)
KEEP = 50_000
GRAIN = 8192


class Program:
    """A stream of a program, and whoever follows it."""

    def __init__(self, folder: Path, *, waits: bool, keep: int = KEEP) -> None:
        self.loop = Loop()
        self.path = folder / "out"
        self.pipe = folder / "out.pipe"
        self.grown = 0
        self.written = 0
        self._waits = waits
        self._keep = keep
        make_pipe(self.pipe, os.geteuid(), os.getegid())
        self.spool = self.open()
        ours, self.end = open_pipe(self.pipe)
        os.set_blocking(self.end, False)
        self.spool.feed(ours)

    def open(self) -> Spool:
        return Spool(self.path, self.loop, self._keep, waits=self._waits, grew=self._grew)

    def _grew(self, count: int) -> None:
        self.grown += count

    def write(self, size: int) -> int:
        """Write what comes next; return how much of it the pipe took."""
        try:
            count = os.write(self.end, DATA[self.written :][:size])
        except BlockingIOError:
            return 0
        self.written += count
        return count

    def write_all(self, size: int) -> None:
        until = self.written + size
        turn_until(self.loop, lambda: self.write(until - self.written) * 0 + self.written == until)

    def replace(self) -> None:
        """A supervisor is killed, and its successor opens what there is."""
        self.spool.close()
        self.spool = self.open()
        self.spool.feed(os.open(self.pipe, os.O_RDONLY | os.O_NONBLOCK))

    def end_writing(self) -> None:
        os.close(self.end)
        self.end = -1

    def close(self) -> None:
        if self.end >= 0:
            self.end_writing()
        self.spool.close()
        self.loop.close()


@pytest.fixture(params=["drop", "wait"])
def program(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Program]:
    program = Program(tmp_path, waits=request.param == "wait")
    yield program
    program.close()


steps = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "turn", "turn", "read", "read", "acknowledge", "replace"]),
        st.integers(1, 60_000),
    ),
    max_size=40,
)


@settings(max_examples=120, deadline=None)
@given(steps, st.booleans())
def test_what_was_written_is_read(steps: list[tuple[str, int]], waits: bool) -> None:
    with mock.patch.object(spool, "_GRAIN", GRAIN), tempfile.TemporaryDirectory() as folder:
        program = Program(Path(folder), waits=waits)
        cursor = 0
        for step, size in steps:
            if step == "write":
                program.write(size)
            elif step == "turn":
                turn(program.loop)
            elif step == "acknowledge":
                program.spool.acknowledge(cursor)
            elif step == "replace":
                program.replace()
            else:
                cursor = check_read(program, cursor, size, waits=waits)
            if waits:
                assert program.spool.size - program.spool.start <= KEEP
        program.end_writing()
        assert program.spool.drain()
        assert program.spool.is_over
        assert program.spool.size == program.written
        while cursor < program.written:
            cursor = check_read(program, cursor, 70_000, waits=waits)
        if not waits:
            assert program.spool.start <= max(0, program.written - KEEP), "what should stay stays"
            assert program.spool.size - program.spool.start <= KEEP + GRAIN
        program.close()


def check_read(program: Program, offset: int, limit: int, *, waits: bool) -> int:
    begin, data = program.spool.read(offset, limit)
    assert begin == max(offset, program.spool.start)
    assert begin == offset or not waits, "nothing goes that was not acknowledged"
    assert data == DATA[begin : begin + len(data)]
    assert len(data) == min(limit, program.spool.size - begin)
    return begin + len(data)


def test_each_byte_is_counted_once(program: Program) -> None:
    program.write_all(30_000)
    turn_until(program.loop, lambda: program.grown == 30_000)
    assert program.spool.size == 30_000


def test_beyond_the_end_there_is_nothing(program: Program) -> None:
    program.write_all(100)
    turn_until(program.loop, lambda: program.spool.size == 100)
    for offset in (100, 101, 2**40, 2**70):
        assert program.spool.read(offset, 10) == (offset, b"")
        program.spool.acknowledge(offset)
    assert program.spool.read(0, 1000)[1] == DATA[:100], "nobody acknowledged what was not there"


def test_while_it_waits_the_program_waits_and_nothing_is_done(tmp_path: Path) -> None:
    program = Program(tmp_path, waits=True)
    turn_until(program.loop, lambda: not program.write(2**20) and program.spool.size == KEEP)
    stopped = program.written
    turn(program.loop, 50)
    assert (program.written, program.spool.size) == (stopped, KEEP)
    assert not program.spool._is_watched, "a full pipe does not keep the loop busy"
    program.spool.acknowledge(10)
    turn(program.loop, 5)
    assert program.spool.size == KEEP + 10, "as much as has arrived goes on"
    program.close()


def test_space_is_given_back(tmp_path: Path) -> None:
    with mock.patch.object(spool, "_GRAIN", GRAIN):
        program = Program(tmp_path, waits=False)
        program.write_all(2 * 2**20)
        turn_until(program.loop, lambda: program.spool.size == program.written)
        assert program.path.stat().st_size == 2 * 2**20
        assert program.path.stat().st_blocks * 512 <= KEEP + GRAIN + 2 * 4096
        program.close()


def test_where_it_begins_is_unknown_it_says_no_zeros(tmp_path: Path) -> None:
    """A power cut may leave nothing but zeros of a small file."""
    with mock.patch.object(spool, "_GRAIN", GRAIN):
        program = Program(tmp_path, waits=False)
        program.write_all(2**20)
        turn_until(program.loop, lambda: program.spool.size == program.written)
        (tmp_path / "out.start").write_bytes(b"\0" * 20)
        program.replace()
        begin, data = program.spool.read(0, 2**20)
        assert data == DATA[begin : 2**20]
        assert len(data) == KEEP
        program.close()


def test_a_drain_ends_though_something_goes_on_writing(tmp_path: Path) -> None:
    """What could not be found and ended may write for ever."""
    program = Program(tmp_path, waits=False)
    program.write(100_000)
    moved = []
    move = program.spool._move

    def while_another_writes(limit: int) -> bool:
        moved.append(limit)
        assert len(moved) < 100
        result = move(limit)
        program.write(100_000)
        return result

    with mock.patch.object(program.spool, "_move", while_another_writes):
        assert program.spool.drain()
    assert program.spool.size == 100_000
    assert program.spool.is_over
    program.close()


def test_a_file_system_without_holes_is_said_once(tmp_path: Path) -> None:
    said: list[str] = []
    with (
        mock.patch.object(spool, "_GRAIN", GRAIN),
        mock.patch.object(kernel, "punch_hole", side_effect=OSError(95, "Operation not supported")),
        mock.patch.object(log, "event", lambda _level, text, **_facts: said.append(text)),
    ):
        program = Program(tmp_path, waits=False)
        program.write_all(2**20)
        turn_until(program.loop, lambda: program.spool.size == program.written)
        program.close()
    assert said == ["this file system gives no space of output back"]


# -- a full disk ---------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, "1m") as folder:
        yield folder


@pytest.mark.root
@pytest.mark.parametrize("waits", [False, True])
def test_a_full_disk_loses_nothing_and_the_program_waits(disk: Path, waits: bool) -> None:
    program = Program(disk, waits=waits, keep=2**24)
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * 600_000)
    turn_until(program.loop, lambda: not program.write(2**20) and program.spool.is_stuck)
    assert 200_000 < program.spool.size < 2**20
    size = program.spool.size
    turn(program.loop, 20)
    assert not program.spool._is_watched, "nor does it keep the loop busy"
    ballast.unlink()
    turn_until(program.loop, lambda: program.spool.size > size + 100_000, what="it goes on")
    assert program.spool.read(0, 2**20)[1] == DATA[: program.spool.size]
    program.close()


@pytest.mark.root
def test_what_has_arrived_makes_room_on_a_full_disk(disk: Path) -> None:
    program = Program(disk, waits=True, keep=2**24)
    cursor = 0
    got = bytearray()

    def read_and_acknowledge() -> bool:
        nonlocal cursor
        program.write(2**20)
        if program.spool.is_stuck or program.written == len(DATA):
            begin, data = program.spool.read(cursor, 2**20)
            assert begin == cursor
            got.extend(data)
            cursor += len(data)
            program.spool.acknowledge(cursor)
        return cursor == len(DATA)

    with mock.patch.object(spool, "_FULL_PAUSE", 0.02):
        turn_until(program.loop, read_and_acknowledge, what="all of it comes through a disk of a third of its size")
    assert got == DATA
    program.close()


@pytest.mark.root
def test_an_end_on_a_full_disk_waits_for_room(disk: Path) -> None:
    program = Program(disk, waits=False, keep=2**24)
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * 600_000)
    program.write(2**20)
    program.end_writing()
    assert not program.spool.drain()
    assert not program.spool.drain()
    ballast.unlink()
    with mock.patch.object(log, "event"):
        while not program.spool.drain():
            turn(program.loop)
    assert program.spool.read(0, 2**20)[1] == DATA[: program.written]
    program.close()


@pytest.mark.root
def test_a_terminal_loses_nothing_on_a_full_disk(disk: Path) -> None:
    ours, theirs = os.openpty()
    os.set_blocking(ours, False)
    os.set_blocking(theirs, False)
    loop = Loop()
    kept = Spool(disk / "out", loop, 2**24, waits=False, grew=lambda _count: None)
    kept.feed(ours)
    ballast = disk / "ballast"
    text = b"0123456789abcdef" * 6000
    with ballast.open("wb", buffering=0) as stream:
        room = os.statvfs(disk)
        stream.write(b"x" * (room.f_bavail * room.f_frsize - 40_960))
    written = 0

    def write() -> bool:
        nonlocal written
        try:
            written += os.write(theirs, text[written:])
        except BlockingIOError:
            return kept.is_stuck
        return written == len(text)

    with mock.patch.object(spool, "_FULL_PAUSE", 0.02):
        turn_until(loop, write)
        assert kept.is_stuck
        ballast.unlink()
        turn_until(loop, lambda: (written == len(text) or write()) and kept.size == len(text))
    assert kept.read(0, 2**20)[1] == text
    os.close(theirs)
    kept.close()
    loop.close()
