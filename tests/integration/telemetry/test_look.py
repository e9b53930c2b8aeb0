"""Blocking work beside the event loop."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from quix.agent.look import Look


class Gate:
    """Work that lasts until it is let go."""

    def __init__(self) -> None:
        self.calls = 0
        self.open = threading.Event()

    def work(self) -> int:
        self.calls += 1
        self.open.wait(10)
        return self.calls


async def test_what_the_work_returns_is_returned() -> None:
    assert await Look(lambda: 5, 5).take() == 5


async def test_the_work_is_done_off_the_loops_thread() -> None:
    assert await Look(threading.get_ident, 5).take() != threading.get_ident()


async def test_what_the_work_raises_is_raised() -> None:
    def work() -> None:
        raise PermissionError("no")

    with pytest.raises(PermissionError):
        await Look(work, 5).take()


async def test_each_look_is_a_new_one() -> None:
    gate = Gate()
    gate.open.set()
    look = Look(gate.work, 5)
    assert [await look.take(), await look.take()] == [1, 2]


async def test_who_comes_meanwhile_shares_the_look() -> None:
    gate = Gate()
    look = Look(gate.work, 5)
    both = asyncio.gather(look.take(), look.take())
    await asyncio.sleep(0.01)
    assert look.is_running
    gate.open.set()
    first, second = await both
    assert first == second == 1
    assert not look.is_running


async def test_nobody_waits_longer_than_the_limit_and_no_second_thread_is_sent() -> None:
    gate = Gate()
    look = Look(gate.work, 0.05)
    start = time.monotonic()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await look.take()
    assert time.monotonic() - start < 5
    assert gate.calls == 1
    gate.open.set()
    assert await Look(gate.work, 5).take() == 2


async def test_a_caller_that_gives_up_leaves_the_look_to_the_others() -> None:
    gate = Gate()
    look = Look(gate.work, 5)
    hasty, patient = asyncio.ensure_future(look.take()), asyncio.ensure_future(look.take())
    await asyncio.sleep(0.01)
    hasty.cancel()
    await asyncio.wait([hasty])
    gate.open.set()
    assert await patient == 1
