"""The supervisor's loop, run for as long as a test needs it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from quix.supervisor.loop import Loop


class _Enough(Exception):  # noqa: N818 - nothing went wrong
    pass


def turn(loop: Loop, rounds: int = 1) -> None:
    """Run a loop so many rounds, each without waiting."""
    left = [rounds + 1]

    def tick() -> float:
        left[0] -= 1
        if not left[0]:
            raise _Enough
        return 0

    with contextlib.suppress(_Enough):
        loop.run(tick)


def turn_until(loop: Loop, condition: Callable[[], object], seconds: float = 10, what: str = "") -> None:
    """Run a loop until a condition is true; fail where that takes too long."""
    end = time.monotonic() + seconds

    def tick() -> float:
        if condition():
            raise _Enough
        assert time.monotonic() < end, f"not within {seconds} s: {what or condition}"
        return 0.002

    with contextlib.suppress(_Enough):
        loop.run(tick)
