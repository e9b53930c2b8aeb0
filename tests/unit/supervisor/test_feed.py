"""Input by offset, into real pipes and terminals."""

from __future__ import annotations

import hashlib
import os
import random
import termios
import tty
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.loop import turn, turn_until
from quix.supervisor.backlog import Backlog
from quix.supervisor.feed import Feed
from quix.supervisor.loop import Loop
from quix.wire.reasons import Reason, Refusal

DATA = random.Random(5).randbytes(400_000)
BUFFERED = 2**16


class Pipe:
    """A feed, and the program's end of it."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.end, target = os.pipe()
        os.set_blocking(target, False)
        os.set_blocking(self.end, False)
        self.feed = Feed(target, self.loop, is_terminal=False)
        self.target = target

    def succeed(self) -> None:
        """The supervisor is gone, and the next one has its descriptors."""
        kept = self.feed.descriptors
        target, backlog = os.dup(kept["in"]), os.dup(kept["backlog"])
        self.feed.release()
        self.loop.close()
        self.loop, self.target = Loop(), target
        self.feed = Feed(target, self.loop, is_terminal=False, backlog=Backlog.find(backlog))
        self.feed.flush()

    def read(self, size: int) -> bytes:
        try:
            return os.read(self.end, size)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        self.feed.release()
        self.loop.close()
        os.close(self.end)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_a_repeat_changes_nothing_and_an_overlap_adds_what_is_new(pipe: Pipe) -> None:
    assert pipe.feed.write(0, b"hello", end=False) == 5
    assert pipe.feed.write(0, b"hello", end=False) == 5
    assert pipe.feed.write(2, b"llo world", end=False) == 11
    assert pipe.feed.write(3, b"lo", end=False) == 11
    assert pipe.read(100) == b"hello world"


def test_missing_bytes_are_asked_for(pipe: Pipe) -> None:
    pipe.feed.write(0, b"abc", end=False)
    with pytest.raises(Refusal, match="3 bytes have come") as caught:
        pipe.feed.write(4, b"e", end=True)
    assert caught.value.reason is Reason.REQUEST_INVALID
    assert pipe.feed.write(3, b"de", end=True) == 5
    assert pipe.read(100) == b"abcde"


def test_the_end_comes_after_all_that_was_taken(pipe: Pipe) -> None:
    taken = 0
    while taken < len(DATA):
        taken = pipe.feed.write(taken, DATA[taken:], end=True)
        pipe.read(1000)
        turn(pipe.loop)
    got = b""
    while is_open(pipe.target):
        turn(pipe.loop)
        got += pipe.read(10_000)
    while more := os.read(pipe.end, 100_000):
        got += more
    assert DATA.endswith(got)
    assert len(got) > BUFFERED


def test_what_is_taken_has_a_bound_while_nobody_reads(pipe: Pipe) -> None:
    taken = pipe.feed.write(0, DATA, end=True)
    capacity = 2**16  # of a pipe (pipe(7))
    assert taken == BUFFERED
    for _ in range(5):
        taken = pipe.feed.write(taken, DATA[taken:], end=True)
    assert taken == capacity + BUFFERED


def test_a_program_that_closed_its_input_is_told_of(pipe: Pipe) -> None:
    taken = pipe.feed.write(0, DATA, end=False)
    os.close(pipe.end)
    pipe.end = os.open("/dev/null", os.O_RDONLY)
    with pytest.raises(Refusal, match="closed"):
        for _ in range(3):
            pipe.feed.write(taken, b"more", end=False)
            taken = pipe.feed.received
    assert not is_open(pipe.target)
    assert pipe.feed.write(0, DATA[:100], end=False) == pipe.feed.received, "a repeat is still one"


def test_nothing_comes_after_the_end(pipe: Pipe) -> None:
    assert pipe.feed.write(0, b"all", end=True) == 3
    assert pipe.feed.write(0, b"all", end=True) == 3
    with pytest.raises(Refusal, match="ended"):
        pipe.feed.write(3, b"more", end=False)
    assert os.read(pipe.end, 100) == b"all"
    assert os.read(pipe.end, 100) == b""


def test_a_feed_that_is_closed_while_it_waits_is_watched_no_more(pipe: Pipe) -> None:
    for _ in range(3):
        pipe.feed.write(pipe.feed.received, DATA[pipe.feed.received :], end=False)
    pipe.feed.close()
    pipe.feed.close()
    turn(pipe.loop, 3)
    assert not is_open(pipe.target)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("wWrts"), st.integers(1, 150_000)), max_size=40))
def test_whatever_comes_in_whatever_portions_arrives_once(steps: list[tuple[str, int]]) -> None:
    pipe = Pipe()
    got = bytearray()
    for step, size in steps:
        if step == "w":  # what comes next
            pipe.feed.write(pipe.feed.received, DATA[pipe.feed.received :][:size], end=False)
        elif step == "W":  # a repeat, which may reach further
            offset = max(0, pipe.feed.received - size)
            pipe.feed.write(offset, DATA[offset:][: size + 1000], end=False)
        elif step == "r":
            got += pipe.read(size)
        elif step == "s":
            pipe.succeed()
        else:
            turn(pipe.loop)
    total = pipe.feed.received
    while len(got) < total:
        turn(pipe.loop)
        got += pipe.read(2**20)
    assert got == DATA[:total]
    pipe.close()


@pytest.fixture
def terminal() -> Iterator[tuple[Feed, Loop, int]]:
    ours, theirs = os.openpty()
    os.set_blocking(ours, False)
    loop = Loop()
    feed = Feed(ours, loop, is_terminal=True)
    yield feed, loop, theirs
    feed.release()
    loop.close()
    os.close(theirs)


@pytest.mark.parametrize("text", [b"", b"line\n", b"line\nhalf", b"half"])
def test_a_terminal_reads_the_end_of_file_also_in_the_middle_of_a_line(
    terminal: tuple[Feed, Loop, int], text: bytes
) -> None:
    feed, _, theirs = terminal
    assert feed.write(0, text, end=True) == len(text)
    got = []
    while piece := os.read(theirs, 100):
        got.append(piece)
    assert b"".join(got) == text


def test_a_terminal_that_nobody_reads_takes_a_bounded_amount_and_goes_on_later(
    terminal: tuple[Feed, Loop, int],
) -> None:
    feed, loop, theirs = terminal
    tty.setraw(theirs)
    attributes = termios.tcgetattr(theirs)
    assert not attributes[3] & termios.ICANON
    data = DATA[:200_000]
    for _ in range(10):
        feed.write(feed.received, data[feed.received :], end=False)
    assert feed.received < len(data)
    got = bytearray()
    os.set_blocking(theirs, False)

    def take() -> bool:
        try:
            got.extend(os.read(theirs, 100_000))
        except BlockingIOError:
            feed.write(feed.received, data[feed.received :], end=False)
        return len(got) == len(data)

    turn_until(loop, take)
    assert got == data


def test_a_successor_knows_that_the_input_has_ended(pipe: Pipe) -> None:
    pipe.feed.write(0, b"all", end=True)
    assert list(pipe.feed.descriptors) == ["backlog"]
    backlog = os.dup(pipe.feed.descriptors["backlog"])
    successor = Feed(None, pipe.loop, is_terminal=False, backlog=Backlog.find(backlog))
    assert successor.write(0, b"all", end=True) == 3
    with pytest.raises(Refusal, match="ended"):
        successor.write(3, b"more", end=False)
    successor.release()


@pytest.mark.parametrize("text", [b"line\n", b"half"])
def test_what_ends_the_input_of_a_terminal_is_no_input_for_a_successor(
    terminal: tuple[Feed, Loop, int], text: bytes
) -> None:
    feed, loop, theirs = terminal
    assert feed.write(0, text, end=True) == len(text)
    backlog = os.dup(feed.descriptors["backlog"])
    successor = Feed(os.dup(theirs), loop, is_terminal=True, backlog=Backlog.find(backlog))
    assert successor.received == len(text)
    assert successor.write(0, text, end=True) == len(text)
    successor.release()


def test_what_was_passed_on_takes_no_memory_for_ever(pipe: Pipe) -> None:
    """Also where the program reads slowly, so that there is always something that waits."""
    total, got, whole = 0, hashlib.sha256(), 20 * len(DATA)
    while total < whole:
        offset = total % len(DATA)
        total = pipe.feed.write(total, DATA[offset : offset + 50_000], end=False)
        got.update(pipe.read(20_000))
        turn(pipe.loop)
        status = os.fstat(pipe.feed.descriptors["backlog"])
        assert status.st_blocks * 512 <= 3 * 2**20
    pipe.succeed()
    assert pipe.feed.received == total
    while more := pipe.read(2**20):
        got.update(more)
        turn(pipe.loop)
    assert got.digest() == hashlib.sha256(20 * DATA).digest()


def test_there_is_no_backlog_in_other_files() -> None:
    for descriptor in (os.memfd_create("quix-input.x"), os.memfd_create("other"), os.open("/dev/null", os.O_RDONLY)):
        assert Backlog.find(descriptor) is None
        os.close(descriptor)
