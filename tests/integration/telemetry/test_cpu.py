"""`ttl_cpu_usage`, on the real cores."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from quix.agent.cpu import SHORTEST, CpuMeter, busy_share

Times = type(psutil.cpu_times())
STILL = Times(*(0.0 for _ in Times._fields))

SPIN = "import os; os.sched_setaffinity(0, {%d}); print(flush=True)\nwhile True: pass"


@pytest.fixture
def busy_core() -> Iterator[int]:
    """The number of a core that a program keeps busy."""
    core = max(os.sched_getaffinity(0))
    with subprocess.Popen([sys.executable, "-c", SPIN % core], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        program.stdout.readline()
        yield core
        program.kill()


async def test_there_is_one_number_a_core_from_0_to_1_in_two_decimals() -> None:
    usage = await CpuMeter().usage()
    assert len(usage) == os.sysconf("SC_NPROCESSORS_ONLN")
    assert all(0 <= share <= 1 and share == round(share, 2) for share in usage)


async def test_a_busy_core_is_busy(busy_core: int) -> None:
    meter = CpuMeter()
    await meter.usage()
    await asyncio.sleep(0.5)
    assert (await meter.usage())[busy_core] >= 0.9


async def test_the_first_look_waits_until_there_is_something_to_compare() -> None:
    start = time.monotonic()
    await CpuMeter().usage()
    assert time.monotonic() - start >= SHORTEST


async def test_a_look_soon_after_waits_for_the_rest_and_a_later_one_not_at_all() -> None:
    meter = CpuMeter()
    await meter.usage()
    start = time.monotonic()
    await asyncio.sleep(SHORTEST / 2)
    await meter.usage()
    assert time.monotonic() - start >= SHORTEST * 0.95
    await asyncio.sleep(SHORTEST * 1.2)
    later = asyncio.ensure_future(meter.usage())
    # No timer: it is there after as many turns of the loop as its tasks need.
    for _ in range(10):
        await asyncio.sleep(0)
    assert later.done()
    await later


async def test_looks_at_one_time_share_one_answer() -> None:
    meter = CpuMeter()
    start = time.monotonic()
    first, *others = await asyncio.gather(*(meter.usage() for _ in range(20)))
    assert all(other is first for other in others)
    assert time.monotonic() - start < 10 * SHORTEST


async def test_one_who_gives_up_does_not_end_the_look_of_the_others() -> None:
    meter = CpuMeter()
    hasty, patient = asyncio.ensure_future(meter.usage()), asyncio.ensure_future(meter.usage())
    await asyncio.sleep(0)
    hasty.cancel()
    assert await patient
    assert hasty.cancelled()


@pytest.mark.parametrize(
    ("spent", "share"),
    [
        ({}, 0.0),
        ({"idle": 1.0}, 0.0),
        ({"user": 1.0}, 1.0),
        ({"user": 0.25, "system": 0.25, "idle": 0.5}, 0.5),
        ({"iowait": 0.5, "irq": 0.25, "softirq": 0.25}, 0.5),
        ({"steal": 0.5, "idle": 0.5}, 0.5),
        ({"user": 0.5, "guest": 0.5, "idle": 0.5}, 0.5),
        ({"nice": 0.5, "guest_nice": 0.5, "idle": 0.5}, 0.5),
        ({"user": 0.5, "idle": 0.5, "iowait": -3.0}, 0.5),
        ({"user": 1.0, "idle": 2.0}, 0.33),
    ],
)
def test_the_share_is_what_was_not_idle(spent: dict[str, float], share: float) -> None:
    before = STILL._replace(iowait=5.0)
    after = before._replace(**{name: getattr(before, name) + amount for name, amount in spent.items()})
    assert busy_share(before, after) == share
