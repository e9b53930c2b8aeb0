"""Timers beside descriptors, in one thread."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.loop import turn, turn_until
from quix.supervisor.loop import READ, Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_timers_come_in_their_order_and_not_too_early(loop: Loop) -> None:
    began = time.monotonic()
    fired: list[tuple[float, float]] = []
    for seconds in (0.06, 0.02, 0.04, 0.0, 0.02):
        loop.later(seconds, lambda seconds=seconds: fired.append((seconds, time.monotonic() - began)))  # type: ignore[misc]
    turn_until(loop, lambda: len(fired) == 5)
    assert [seconds for seconds, _ in fired] == [0.0, 0.02, 0.02, 0.04, 0.06]
    assert all(after >= seconds for seconds, after in fired)


def test_a_timer_ends_a_wait_that_would_take_longer(loop: Loop) -> None:
    began = time.monotonic()
    loop.later(0.02, loop.stop)
    loop.run(lambda: 60)
    assert 0.02 <= time.monotonic() - began < 5


def test_the_tick_says_how_long_to_wait_where_no_timer_is_sooner(loop: Loop) -> None:
    loop.later(60, lambda: pytest.fail("too early"))
    ticks: list[float] = []

    def tick() -> float:
        ticks.append(time.monotonic())
        if len(ticks) == 3:
            loop.stop()
        return 0.01

    loop.run(tick)
    assert ticks[-1] - ticks[0] < 5


def test_what_was_cancelled_is_not_done(loop: Loop) -> None:
    done: list[str] = []
    first = loop.later(0.01, lambda: done.append("first"))
    second = loop.later(0.01, lambda: done.append("second"))
    loop.later(0, second.cancel)
    loop.later(0.02, lambda: done.append("last"))
    first.cancel()
    first.cancel()
    turn_until(loop, lambda: "last" in done)
    assert done == ["last"]


def test_a_timer_that_is_set_by_a_timer_leaves_descriptors_their_turn(loop: Loop, pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    seen: list[bytes] = []
    loop.watch(reading, READ, lambda _events: seen.append(os.read(reading, 10)))
    again = [0]

    def work() -> None:
        again[0] += 1
        loop.later(0, work)

    loop.later(0, work)
    os.write(writing, b"x")
    turn(loop, rounds=5)
    assert seen == [b"x"]
    assert again[0] >= 1
    loop.forget(reading)


@given(st.integers(0, 2000), st.integers(1, 50))
def test_cancelled_timers_do_not_pile_up(count: int, each: int) -> None:
    cancelled = [number % each != 0 for number in range(count)]
    loop = Loop()
    fired: list[int] = []
    for number, is_cancelled in enumerate(cancelled):
        timer = loop.later(0, lambda number=number: fired.append(number))  # type: ignore[misc]
        if is_cancelled:
            timer.cancel()
    assert len(loop._timers) <= 2 * cancelled.count(False) + 64 + 1
    turn(loop)
    assert fired == [number for number, is_cancelled in enumerate(cancelled) if not is_cancelled]
    loop.close()


def test_a_descriptor_that_was_exchanged_in_the_same_round_is_not_taken_for_the_old(loop: Loop) -> None:
    """Two are ready; the first callback closes the second, whose number is then another's."""
    ends = [os.pipe() for _ in range(2)]
    wrong: list[str] = []

    def exchange(index: int) -> None:
        other = ends[1 - index][0]
        loop.forget(ends[index][0])
        loop.forget(other)
        os.close(other)
        fresh, writing = os.pipe()
        assert fresh == other
        loop.watch(fresh, READ, lambda _events: wrong.append("called, and there is nothing to read"))
        ends[1 - index] = (fresh, ends[1 - index][1])
        loop.later(0.02, loop.stop)
        ends.append((writing, -1))

    for index in range(2):
        loop.watch(ends[index][0], READ, lambda _events, index=index: exchange(index))  # type: ignore[misc]
        os.write(ends[index][1], b"x")
    loop.run(lambda: None)
    assert wrong == []
    for end in {end for pair in ends for end in pair} - {-1}:
        os.close(end)
