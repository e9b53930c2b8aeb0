"""What programs write arrives byte for byte, apart, in bounded space, whoever reads and however slowly."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest

from harness.runs import END, Reader, ended, gone, resident, succeeded, written
from harness.supervisor import PYTHON, House, until
from quix.supervisor import proc
from quix.supervisor.client import SupervisorClient
from quix.supervisor.protocol import Read
from quix.supervisor.settings import SandboxMode
from quix.wire.reasons import Reason, Refusal
from quix.wire.runs import RunLimits, RunOptions

MIB = 2**20
KEEP = 2 * MIB

COUNTER = "import os\nfor n in range(0, {count}): os.write(1 + n % 2, b'%07d\\n' % n)"
"""Writes 8 bytes a number, even ones to stdout and odd ones to stderr."""


async def python(client: SupervisorClient, script: str, key: str, **options: object) -> None:
    await client.spawn([PYTHON, "-c", script], msgspec.convert(options, RunOptions), key)


def numbers(first: int, count: int) -> bytes:
    return b"".join(b"%07d\n" % number for number in range(first, count, 2))


def cpu(pid: int) -> int:
    found = proc.stat(pid)
    assert found is not None
    return found.user_system


async def test_both_streams_apart_and_every_byte_there_is(house: House) -> None:
    client = await house.client()
    script = (
        "import os\nall = bytes(range(256)) * 4000\n"
        "for n in range(0, len(all), 50000): os.write(1, all[n:n + 50000]); os.write(2, all[::-1][n:n + 50000])"
    )
    await python(client, script, "k")
    reader = Reader("k", limit=70_001)
    state = await reader.to_the_end(client)
    everything = bytes(range(256)) * 4000
    assert reader.stdout == everything
    assert reader.stderr == everything[::-1]
    assert (state.stdout, state.stderr) == (len(everything),) * 2


@pytest.mark.parametrize("sandbox", ["landlock", "uid", "none"])
@pytest.mark.root
async def test_the_streams_can_be_opened_by_their_names(house: House, sandbox: SandboxMode) -> None:
    client = await house.client(sandbox)
    script = (
        "echo a > /dev/stdout; echo b > /dev/stderr; echo c >> /dev/fd/1; echo d | tee /dev/stderr; "
        "echo e > /proc/self/fd/2; ls -l /dev/fd/ > /dev/null"
    )
    await client.spawn(["sh", "-c", script], RunOptions(), "k")
    reader = Reader("k")
    state = await reader.to_the_end(client)
    assert (bytes(reader.stdout), bytes(reader.stderr), state.exit_code) == (b"a\nc\nd\n", b"b\nd\ne\n", 0)


async def test_nothing_that_a_program_does_to_its_output_does_harm(house: House) -> None:
    client = await house.client()
    script = """
import fcntl, os
print("first", flush=True)
def attempt(call, *arguments):
    try: call(*arguments)
    except OSError: pass
attempt(os.ftruncate, 1, 0)
attempt(os.lseek, 1, 0, 0)
attempt(os.pwrite, 1, b"PWRITE", 0)
attempt(os.fchmod, 1, 0)
attempt(os.unlink, "/proc/self/fd/1")
attempt(os.unlink, os.readlink("/proc/self/fd/1"))
attempt(os.rename, os.readlink("/proc/self/fd/1"), "stolen")
attempt(os.link, "/proc/self/fd/1", "linked")
attempt(fcntl.fcntl, 1, 1031, 4096)
attempt(fcntl.fcntl, 1, 4, os.O_NONBLOCK)
attempt(fcntl.fcntl, 1, 4, os.O_DIRECT)
os.close(2)
print("last", flush=True)
"""
    await python(client, script, "k")
    reader = Reader("k")
    state = await reader.to_the_end(client)
    assert (bytes(reader.stdout), state.exit_code) == (b"first\nlast\n", 0)
    assert await client.runs() == []


async def test_a_program_may_take_its_own_output_back_and_hurts_nobody_else(house: House) -> None:
    """It holds both ends of its pipe."""
    client = await house.client()
    script = (
        "import os\nos.set_blocking(1, False)\nfor _ in range(20000):\n"
        "    os.write(1, b'x' * 100)\n    try: os.read(1, 70)\n    except BlockingIOError: pass"
    )
    await python(client, script, "k")
    state = await ended(client, "k")
    assert state.exit_code == 0
    assert state.stdout <= 2_000_000
    await client.spawn(["echo", "fine"], RunOptions(), "other")
    reader = Reader("other")
    await reader.to_the_end(client)
    assert reader.stdout == b"fine\n"


# -- more than is kept ---------------------------------------------------------------------------


async def test_a_gigabyte_that_nobody_reads_runs_through(house: House) -> None:
    client = await house.client()
    before = resident(client.pid)
    await client.spawn(["head", "-c", "1G", "/dev/zero"], RunOptions(keep=KEEP), "k")
    state = await ended(client, "k", 60)
    assert (state.exit_code, state.stdout) == (0, 2**30)
    kept = house.layout.runs / "k.stdout"
    assert kept.stat().st_blocks * 512 <= KEEP + 3 * MIB
    assert resident(client.pid) - before < 4 * MIB
    reader = Reader("k")
    await reader.to_the_end(client)
    assert KEEP <= len(reader.stdout) <= KEEP + MIB
    assert len(reader.stdout) + reader.gaps == 2**30


async def test_a_gigabyte_that_nobody_reads_waits(house: House) -> None:
    client = await house.client()
    before = resident(client.pid)
    await client.spawn(["head", "-c", "1G", "/dev/zero"], RunOptions(keep=KEEP, overflow="wait"), "k")
    await until(lambda: (house.layout.runs / "k.stdout").stat().st_size == KEEP)
    used = cpu(client.pid)
    await asyncio.sleep(0.5)
    assert (await written(client, "k", END, END)).state.stdout == KEEP
    assert cpu(client.pid) - used <= 2, "it is not looked at again and again"
    assert resident(client.pid) - before < 4 * MIB
    assert (await written(client, "k", KEEP // 2, 0)).state.stdout == KEEP, "to read is not to acknowledge"
    await written(client, "k", KEEP // 2, 0, acknowledge=True)
    await until(lambda: (house.layout.runs / "k.stdout").stat().st_size == KEEP + KEEP // 2)
    await client.signal(0, "SIGKILL", "k")
    assert (await ended(client, "k")).exit_signal == "SIGKILL"


async def test_who_waits_for_a_slow_reader_loses_nothing(house: House) -> None:
    client = await house.client()
    count = 700_000
    await python(client, COUNTER.format(count=count), "k", keep=2**16, overflow="wait")
    reader = Reader("k", acknowledge=True, limit=200_000)
    state = await reader.to_the_end(client)
    assert reader.gaps == 0
    assert bytes(reader.stdout) == numbers(0, count)
    assert bytes(reader.stderr) == numbers(1, count)
    assert state.exit_code == 0
    assert (house.layout.runs / "k.stdout").stat().st_blocks * 512 < 2 * MIB


async def test_a_slow_reader_of_what_does_not_wait_is_told_of_gaps(house: House) -> None:
    client = await house.client()
    count = 1_500_000
    await python(client, COUNTER.format(count=count), "k", keep=2**16)
    reader = Reader("k", limit=20_000)
    while not reader.stdout:
        await reader.once(client, wait=5)
    await ended(client, "k")
    first = len(reader.stdout)
    await reader.to_the_end(client)
    assert reader.gaps > 0
    assert bytes(reader.stdout[:first]) == numbers(0, count)[:first]
    assert numbers(0, count).endswith(bytes(reader.stdout[first:]))


# -- another supervisor --------------------------------------------------------------------------


@pytest.mark.parametrize("overflow", ["drop", "wait"])
async def test_nothing_is_lost_or_doubled_when_the_supervisor_is_killed_in_the_middle(
    house: House, overflow: str
) -> None:
    client = await house.client()
    count = 2_000_000
    await python(
        client, COUNTER.format(count=count), "k", keep=4 * MIB if overflow == "wait" else 2**30, overflow=overflow
    )
    reader = Reader("k", acknowledge=True)
    for turn in range(2):
        while len(reader.stdout) < (turn + 1) * MIB:
            await reader.once(client, wait=5)
        client = await succeeded(house, client)
        assert (await written(client, "k", END, END)).state.state == "running", "it was still writing"
    state = await reader.to_the_end(client)
    assert reader.gaps == 0
    assert bytes(reader.stdout) == numbers(0, count)
    assert bytes(reader.stderr) == numbers(1, count)
    assert (state.outcome, state.exit_code) == ("exited", 0)


async def test_a_program_waits_while_there_is_no_supervisor(house: House) -> None:
    client = await house.client()
    wait = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
    await python(client, wait + COUNTER.format(count=600_000) + "\nopen('done', 'w')", "k")
    await gone(client)
    house.path("go").touch()
    await asyncio.sleep(0.5)
    assert not house.path("done").exists(), "it is neither killed nor lets its output go"
    client = await house.client()
    reader = Reader("k")
    await reader.to_the_end(client)
    assert bytes(reader.stdout) == numbers(0, 600_000)


# -- reading -------------------------------------------------------------------------------------


async def test_readers_do_not_disturb_each_other(house: House) -> None:
    client, other = await house.client(), await house.client()
    count = 100_000
    await python(client, COUNTER.format(count=count), "k")
    fast, slow = Reader("k"), Reader("k", limit=3000)
    for _ in range(5):
        await slow.once(other, wait=5)
    await fast.to_the_end(client)
    await slow.to_the_end(other)
    assert fast.stdout == slow.stdout == numbers(0, count)
    assert fast.stderr == slow.stderr == numbers(1, count)


async def test_a_reader_that_waits_is_answered_by_output_by_the_end_or_in_time(house: House) -> None:
    client = await house.client()
    script = "while [ ! -e go ]; do sleep 0.01; done; printf hello; while [ ! -e end ]; do sleep 0.01; done; exit 4"
    await client.spawn(["sh", "-c", script], RunOptions(), "k")
    began = time.monotonic()
    told = await written(client, "k", wait=0.3)
    assert (told.state.state, told.chunks) == ("running", [])
    assert 0.3 <= time.monotonic() - began < 5
    waiting = [asyncio.create_task(written(client, "k", wait=50)) for _ in range(3)]
    await asyncio.sleep(0.05)
    house.path("go").touch()
    for told in await asyncio.gather(*waiting):
        assert [(chunk.stream, chunk.offset, chunk.data) for chunk in told.chunks] == [("stdout", 0, b"hello")]
    waiting = [asyncio.create_task(written(client, "k", 5, 0, wait=50)) for _ in range(3)]
    await asyncio.sleep(0.05)
    assert not any(task.done() for task in waiting)
    house.path("end").touch()
    for told in await asyncio.gather(*waiting):
        assert (told.state.state, told.state.exit_code, told.chunks) == ("ended", 4, [])
    told = await written(client, "k", 2, 0, limit=2, wait=50)
    assert [(chunk.offset, chunk.data) for chunk in told.chunks] == [(2, b"ll")]


@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        (Read("k", -1, 0, 10), Reason.REQUEST_INVALID),
        (Read("k", 0, -1, 10), Reason.REQUEST_INVALID),
        (Read("k", 0, 0, 0), Reason.REQUEST_INVALID),
        (Read("k", 0, 0, 2**19 + 1), Reason.REQUEST_INVALID),
        (Read("nobody", 0, 0, 10), Reason.RUN_UNKNOWN),
    ],
)
async def test_reads_that_make_no_sense_are_refused(house: House, ask: Read, reason: Reason) -> None:
    client = await house.client()
    await client.spawn(["sleep", "1000"], RunOptions(), "k")
    with pytest.raises(Refusal) as caught:
        await client.read(ask)
    assert caught.value.reason is reason


async def test_thousands_of_reads_that_wait_cost_little_and_hold_nobody_up(house: House) -> None:
    client = await house.client()
    await client.spawn(["cat"], RunOptions(stdin="pipe"), "k")
    before = resident(client.pid)
    asked = [asyncio.create_task(client.read(Read("k", 0, 0, 2**19, 1e9))) for _ in range(5000)]
    await until(lambda: sum(task.done() for task in asked) == 5000 - 64, what="what is too much is refused at once")
    assert [run.id for run in await client.runs()] == ["k"]
    assert resident(client.pid) - before < 8 * MIB
    await client.signal(0, "SIGKILL", "k")
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(not isinstance(result, Refusal) for result in results) == 64


async def test_output_limits_count_both_streams_over_all_supervisors(house: House) -> None:
    client = await house.client()
    script = "import os, time\nwhile True: os.write(1, b'x' * 10000), os.write(2, b'y' * 10000), time.sleep(0.01)"
    await client.spawn([PYTHON, "-c", script], RunOptions(limits=RunLimits(output=1_000_000)), "k")
    await until(lambda: (house.layout.runs / "k.stderr").stat().st_size > 100_000)
    client = await succeeded(house, client)
    state = await ended(client, "k")
    assert state.outcome == "output_limit"
    assert 1_000_000 < state.stdout + state.stderr < 3_500_000
