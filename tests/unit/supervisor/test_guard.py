"""How long a program may still run, whoever started it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from quix.supervisor import proc
from quix.supervisor.guard import Guard
from quix.supervisor.living import Living
from quix.supervisor.loop import Loop
from quix.supervisor.run import Run
from quix.wire.runs import RunLimits

TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.mark.parametrize(("adopted", "left"), [(False, 100), (True, 70)])
def test_an_adopted_program_has_what_is_left_of_its_own_time(
    loop: Loop, tmp_path: Path, adopted: bool, left: float
) -> None:
    """This start of the run is 30 seconds old, the run itself a day; and a clock may have been set since."""
    start = proc.now() - 30 * TICKS
    limits = RunLimits(time=100)
    run = Run(
        id="k", cmd=["x"], pid=os.getpid(), start=start, boot_id="b", started_at=time.time() - 86400, mark=0,
        limits=limits,
    )  # fmt: skip
    living = Living(run, os.pidfd_open(os.getpid()), None, adopted=adopted)
    guard = Guard(tmp_path, frozenset(), loop, lambda: [living], lambda *_: None)
    guard.watch(living)
    (timer,) = living.timers
    (due,) = [due - time.monotonic() for due, _, each in loop._timers if each is timer]
    assert left - 1 < due <= left + 1
    living.close()
    assert timer.work is None
