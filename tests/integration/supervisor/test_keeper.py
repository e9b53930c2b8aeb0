"""What programs hold goes on where their supervisor ends, while the agent that started it keeps it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import time

import pytest

from harness.runs import Reader, descriptors, ended, gone, replace
from harness.supervisor import PYTHON, House, is_alive, until
from quix.supervisor.client import SupervisorClient
from quix.supervisor.protocol import Resize, Write
from quix.wire.reasons import Refusal
from quix.wire.runs import RunLimits, RunOptions, Terminal

PIPE = RunOptions(stdin="pipe")
ON_TERMINAL = RunOptions(terminal=Terminal(30, 90))


async def shows(client: SupervisorClient, reader: Reader, text: bytes) -> None:
    """Wait until a run has written a text."""
    async with asyncio.timeout(20):
        while text not in reader.stdout:
            await reader.once(client, wait=5)


def end_unseen(house: House, client: SupervisorClient, program: int) -> None:
    """Kill the supervisor, and have the program end before there is another: the agent, whose loop this holds up,
    starts none meanwhile."""
    os.kill(client.pid, signal.SIGKILL)
    end = time.monotonic() + 10
    while is_alive(client.pid):
        assert time.monotonic() < end
        time.sleep(0.01)
    house.path("go").touch()
    while is_alive(program):
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_terminal_goes_on(house: House, number: signal.Signals) -> None:
    client = await house.client()
    await client.spawn(["sh", "-i"], ON_TERMINAL, "k")
    reader = Reader("k")
    offset = await client.write(Write("k", 0, b"trap 'echo hung up' HUP; x=kept; echo $x$x\n"))
    await shows(client, reader, b"keptkept\r\n")
    await replace(client, number)
    offset = await client.write(Write("k", offset, b"echo still $x; stty size\n"))
    await shows(client, reader, b"still kept\r\n30 90\r\n")
    await client.resize(Resize("k", Terminal(41, 102)))
    offset = await client.write(Write("k", offset, b"stty size; sh -c 'echo in front; exec sleep 1000'\n"))
    await shows(client, reader, b"41 102\r\nin front\r\n")
    offset = await client.write(Write("k", offset, b"\x03"))
    await client.write(Write("k", offset, b"echo status $?; exit 4\n"))
    assert (await reader.to_the_end(client)).exit_code == 4
    assert b"status 130\r\n" in reader.stdout
    assert b"\nhung up" not in reader.stdout


async def test_every_byte_of_input_arrives_once_however_often_the_supervisor_is_killed(house: House) -> None:
    client = await house.client()
    chance = random.Random(11)
    data = chance.randbytes(4 * 2**20)
    await client.spawn(["sha256sum"], PIPE, "k")
    kills = [chance.randrange(len(data)) for _ in range(6)]
    offset = 0
    while offset < len(data):
        repeat = max(0, offset - 1000)
        for place in [place for place in kills if place <= offset]:
            kills.remove(place)
            os.kill(client.pid, signal.SIGKILL)  # perhaps just when it passes on what came before
        offset = await client.write(Write("k", repeat, data[repeat : offset + 2**16]))
    assert await client.write(Write("k", len(data), b"", end=True)) == len(data)
    reader = Reader("k")
    assert (await reader.to_the_end(client)).exit_code == 0
    assert reader.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()
    assert kills == []


async def test_what_was_taken_and_not_passed_on_yet_is_passed_on_by_the_next(house: House) -> None:
    client = await house.client()
    script = "while [ ! -e go ]; do sleep 0.01; done; sha256sum; while [ ! -e over ]; do sleep 0.01; done"
    await client.spawn(["sh", "-c", script], PIPE, "k")
    data = random.Random(12).randbytes(2**17)  # as much as the pipe and the supervisor take together
    offset = 0
    while offset < len(data):
        offset = await client.write(Write("k", offset, data[offset:], end=True))
    await replace(client)
    assert await client.write(Write("k", 100, data[100:], end=True)) == len(data), "the repeat of a lost answer"
    house.path("go").touch()
    reader = Reader("k")
    await shows(client, reader, hashlib.sha256(data).hexdigest().encode())
    await replace(client)
    assert await client.write(Write("k", 100, data[100:], end=True)) == len(data)
    with pytest.raises(Refusal, match="has ended"):
        await client.write(Write("k", len(data), b"more"))
    house.path("over").touch()
    assert (await ended(client, "k")).exit_code == 0


@pytest.mark.parametrize("options", [PIPE, ON_TERMINAL], ids=["pipes", "terminal"])
async def test_output_and_exit_status_of_what_ends_meanwhile(house: House, options: RunOptions) -> None:
    client = await house.client()
    script = "while [ ! -e go ]; do sleep 0.01; done; seq 500; exit 7"
    run = await client.spawn(["sh", "-c", script], options, "k")
    end_unseen(house, client, run.pid)
    reader = Reader("k")
    state = await reader.to_the_end(client)
    assert reader.stdout.split() == [b"%d" % number for number in range(1, 501)]
    assert (state.outcome, state.exit_code) == ("exited", 7)


@pytest.mark.root
async def test_a_limit_that_is_passed_meanwhile_is_the_outcome(house: House) -> None:
    client = await house.client()
    options = RunOptions(limits=RunLimits(memory=64 * 2**20))
    script = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\nx = bytearray(2**28)"
    run = await client.spawn([PYTHON, "-c", script], options, "k")
    end_unseen(house, client, run.pid)
    assert (await ended(client, "k")).outcome == "memory_limit"


async def test_the_next_agent_keeps_it_too(house: House) -> None:
    client = await house.client()
    await client.spawn(["cat"], ON_TERMINAL, "k")
    await client.close()
    client = await house.client()
    await replace(client)
    await client.write(Write("k", 0, b"hello\n"))
    await shows(client, Reader("k"), b"hello\r\nhello\r\n")


async def test_a_newer_supervisor_that_takes_the_place_of_another_gets_it(house: House) -> None:
    client = await house.client()
    await client.spawn(["cat"], ON_TERMINAL, "k")
    await client.close()
    client = await house.client(max_programs=17)
    await client.write(Write("k", 0, b"hello\n"))
    await shows(client, Reader("k"), b"hello\r\nhello\r\n")


async def test_nothing_stays_open_of_what_has_ended(house: House) -> None:
    client = await house.client()
    before = descriptors(os.getpid()), descriptors(client.pid)
    for number in range(3):
        key = f"k{number}"
        await client.spawn(["cat"], PIPE if number % 2 else ON_TERMINAL, key)
        assert descriptors(os.getpid()) > before[0]
        if number == 1:
            await replace(client)
        await client.write(Write(key, 0, b"x\n", end=True))
        assert (await ended(client, key)).exit_code == 0
    await until(
        lambda: (descriptors(os.getpid()), descriptors(client.pid)) == before,
        what=f"there are {before} descriptors again",
    )


async def test_where_agent_and_supervisor_end_together_a_terminal_ends(house: House) -> None:
    client = await house.client()
    await client.spawn(
        ["sh", "-c", "trap 'echo hup > hup; exit 3' HUP; while :; do sleep 0.02; done"], ON_TERMINAL, "k"
    )
    await gone(client)
    client = await house.client()
    assert await house.written("hup") == "hup\n"
    await ended(client, "k")
