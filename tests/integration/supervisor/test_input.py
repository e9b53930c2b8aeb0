"""Input by offset, and terminals, as a program sees them."""

from __future__ import annotations

import asyncio
import random

import pytest

from harness.runs import Reader, ended, succeeded, written
from harness.supervisor import PYTHON, House
from quix.supervisor.client import SupervisorClient
from quix.supervisor.protocol import Resize, Write
from quix.supervisor.settings import SandboxMode
from quix.wire.reasons import Reason, Refusal
from quix.wire.runs import RunOptions, Terminal

PIPE = RunOptions(stdin="pipe")
ON_TERMINAL = RunOptions(terminal=Terminal(30, 90))


async def give(client: SupervisorClient, data: bytes, *, end: bool = False, start: int = 0) -> int:
    """Write all of it, however little is taken at once; return the offset after it."""
    offset = start
    while True:
        taken = await client.write(Write("k", offset, data[offset - start :][: 2**19], end=end))
        if taken == start + len(data):
            return taken
        if taken == offset:
            await asyncio.sleep(0.005)
        offset = taken


async def shows(client: SupervisorClient, reader: Reader, text: bytes) -> None:
    """Wait until a terminal shows a text."""

    async def read() -> None:
        while text not in reader.stdout:
            await reader.once(client, wait=5)

    try:
        await asyncio.wait_for(read(), 15)
    except TimeoutError:
        pytest.fail(f"{text!r} is not in {bytes(reader.stdout)!r}")


async def terminal(house: House, *cmd: str) -> tuple[SupervisorClient, Reader]:
    client = await house.client()
    await client.spawn([*cmd], ON_TERMINAL, "k")
    return client, Reader("k")


# -- pipes ---------------------------------------------------------------------------------------


async def test_more_than_any_buffer_arrives_whole_and_once(house: House) -> None:
    client = await house.client()
    await client.spawn(["cat"], PIPE, "k")
    data = random.Random(3).randbytes(3 * 2**20)
    reader = Reader("k")
    reading = asyncio.create_task(reader.to_the_end(client))
    offset = 0
    while offset < len(data):
        repeat = max(0, offset - 1000)  # each call says some of it again
        offset = await client.write(Write("k", repeat, data[repeat : offset + 50_000]))
    assert await client.write(Write("k", 0, data[:10], end=False)) == len(data)
    assert await client.write(Write("k", len(data), b"", end=True)) == len(data)
    state = await reading
    assert reader.stdout == data
    assert state.exit_code == 0


async def test_without_input_asked_for_it_is_empty(house: House) -> None:
    client = await house.client()
    await client.spawn(["cat"], RunOptions(), "k")
    state = await ended(client, "k")
    assert (state.exit_code, state.stdout) == (0, 0)
    await client.spawn(["sleep", "1000"], RunOptions(), "other")
    with pytest.raises(Refusal, match="without input"):
        await client.write(Write("other", 0, b"x"))
    with pytest.raises(Refusal, match="no terminal"):
        await client.resize(Resize("other", Terminal(1, 1)))


async def test_who_reads_no_input_holds_nobody_up(house: House) -> None:
    client = await house.client()
    run = await client.spawn(["sleep", "1000"], PIPE, "k")
    await client.signal(run.pid, "SIGSTOP")
    taken = 0
    for _ in range(20):
        taken = await client.write(Write("k", taken, bytes(2**19)))
    assert taken <= 2**18
    with pytest.raises(Refusal) as caught:
        await client.write(Write("k", taken + 1, b"x"))
    assert caught.value.reason is Reason.REQUEST_INVALID
    assert [each.pid for each in await client.runs()] == [run.pid]


async def test_a_program_that_closes_its_input_goes_on(house: House) -> None:
    client = await house.client()
    await client.spawn(["sh", "-c", "read x; exec <&-; echo got $x; while [ ! -e go ]; do sleep 0.01; done"], PIPE, "k")
    reader = Reader("k")
    assert await client.write(Write("k", 0, b"one\n")) == 4
    await shows(client, reader, b"got one\n")
    with pytest.raises(Refusal, match="closed"):
        for offset in range(4, 10):
            await client.write(Write("k", offset, b"x"))
    house.path("go").touch()
    assert (await ended(client, "k")).exit_code == 0
    with pytest.raises(Refusal) as caught:
        await client.write(Write("k", 4, b"x"))
    assert caught.value.reason is Reason.RUN_UNKNOWN


async def test_a_program_that_was_adopted_reads_the_end_of_its_input(house: House) -> None:
    client = await house.client()
    await client.spawn(["sh", "-c", "cat; echo over; while [ ! -e go ]; do sleep 0.01; done"], PIPE, "k")
    await give(client, b"some")
    reader = Reader("k")
    await shows(client, reader, b"some")
    client = await succeeded(house, client)
    await shows(client, reader, b"over\n")
    with pytest.raises(Refusal, match="input has ended"):
        await client.write(Write("k", 4, b"more"))
    house.path("go").touch()
    assert (await ended(client, "k")).exit_code == 0


# -- terminals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("sandbox", ["landlock", "uid", "none"])
@pytest.mark.root
async def test_a_terminal_of_its_own(house: House, sandbox: SandboxMode) -> None:
    client = await house.client(sandbox)
    script = "tty -s && stty size; echo $TERM; echo error >&2; echo direct > /dev/tty; read x < /dev/tty; echo got $x"
    await client.spawn(["sh", "-c", script], ON_TERMINAL, "k")
    reader = Reader("k")
    await shows(client, reader, b"direct")
    await give(client, b"answer\n")
    state = await reader.to_the_end(client)
    assert bytes(reader.stdout).split(b"\r\n") == [
        b"30 90", b"xterm-256color", b"error", b"direct", b"answer", b"got answer", b"",
    ]  # fmt: skip
    assert (bytes(reader.stderr), state.exit_code) == (b"", 0)


async def test_a_resize_is_seen(house: House) -> None:
    script = (
        "import os, signal, time\n"
        "def look(*_): os.write(1, b'size %d %d\\n' % os.get_terminal_size(0))\n"
        "signal.signal(signal.SIGWINCH, look)\nlook()\nwhile True: time.sleep(10)"
    )
    client, reader = await terminal(house, PYTHON, "-c", script)
    await shows(client, reader, b"size 90 30\r\n")
    for rows, columns in ((41, 102), (1, 65535), (65535, 1)):
        await client.resize(Resize("k", Terminal(rows, columns)))
        await shows(client, reader, b"size %d %d\r\n" % (columns, rows))


async def test_control_c_ends_what_is_in_front_and_nothing_else(house: House) -> None:
    client, reader = await terminal(house, "sh", "-i")
    offset = await give(client, b"sh -c 'echo in front; exec sleep 1000'\n")
    await shows(client, reader, b"in front\r\n")
    offset = await give(client, b"\x03", start=offset)
    offset = await give(client, b"echo status $?\n", start=offset)
    await shows(client, reader, b"status 130\r\n")
    await give(client, b"exit 4\n", start=offset)
    assert (await reader.to_the_end(client)).exit_code == 4


async def test_the_end_of_input_on_a_terminal(house: House) -> None:
    client, reader = await terminal(house, "cat")
    await give(client, b"half a line", end=True)
    state = await reader.to_the_end(client)
    assert (state.exit_code, bytes(reader.stdout)) == (0, b"half a line" * 2)


async def test_a_terminal_ends_with_its_supervisor(house: House) -> None:
    """It is the one that holds the other side; so the program is told as if a line had dropped."""
    client, reader = await terminal(
        house, "sh", "-c", "trap 'echo hup > hup; exit 3' HUP; echo ready; while :; do sleep 0.02; done"
    )
    await shows(client, reader, b"ready")
    client = await succeeded(house, client)
    await house.written("hup")
    state = await ended(client, "k")
    assert state.stdout == len(b"ready\r\n")


async def test_a_flood_on_a_terminal(house: House) -> None:
    client, reader = await terminal(house, "seq", "100000")
    await reader.to_the_end(client)
    assert bytes(reader.stdout) == b"".join(b"%d\r\n" % number for number in range(1, 100001))


async def test_a_terminal_that_stops_its_output_holds_nobody_up(house: House) -> None:
    client, reader = await terminal(house, "sh", "-c", "read x; seq 100000")
    await give(client, b"\x13\ngo\n")  # Ctrl-S
    await asyncio.sleep(0.2)
    size = (await written(client, "k")).state.stdout
    await asyncio.sleep(0.2)
    assert (await written(client, "k")).state.stdout == size < 100_000
    await give(client, b"\x11", start=5)
    await reader.to_the_end(client)
    assert reader.stdout.endswith(b"100000\r\n")
