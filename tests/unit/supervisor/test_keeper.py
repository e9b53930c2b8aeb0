"""What an agent makes of what a supervisor tells it to keep."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import structlog

from quix.supervisor import protocol
from quix.supervisor.keeper import Keeper
from quix.supervisor.protocol import Hello, Keep
from quix.wire.reasons import Reason, Refusal

HELLO = Hello("key", "identity")
OWN = Path("/proc/self/fd")


class Supervisor:
    """The supervisor's end of a connection, and the agent's keeper at the other."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self._ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self.attaching = asyncio.create_task(keeper.attach(theirs, HELLO))

    async def asked(self) -> None:
        """Wait for the two calls that open it."""
        self._ours.setblocking(False)
        got = b""
        while got.count(b"\n") < 2:
            got += await asyncio.get_running_loop().sock_recv(self._ours, 65536)
        hello, keep = (protocol.decode_call(line).ask for line in got.splitlines())
        assert (hello, keep) == (HELLO, Keep())

    def tell(self, name: str, descriptors: Sequence[int]) -> None:
        line = protocol.encode_kept(name, len(descriptors))
        socket.send_fds(self._ours, [line], descriptors) if descriptors else self._ours.sendall(line)

    def say(self, line: bytes) -> None:
        self._ours.sendall(line)

    def end(self) -> None:
        self._ours.close()

    async def attached(self, *names: str) -> None:
        """Say that there are so many, and that this was all."""
        await self.asked()
        for name in names:
            self.tell(name, [0])
        self.say(protocol.encode_answer(2, None))
        await self.attaching


@pytest.fixture
async def keeper() -> AsyncIterator[Keeper]:
    before = len([*OWN.iterdir()])
    keeper = Keeper()
    yield keeper
    keeper.close()
    await asyncio.sleep(0)
    assert len([*OWN.iterdir()]) <= before, "nothing is left open"


async def names(keeper: Keeper) -> list[str]:
    return [name for name, _ in await keeper.kept()]


async def test_all_that_was_told_is_there_once_the_supervisor_has_ended(keeper: Keeper) -> None:
    supervisor = Supervisor(keeper)
    await supervisor.attached("a")
    reading, writing = os.pipe()
    supervisor.tell("b", [reading, writing])
    supervisor.tell("a", [])
    supervisor.tell("c", [reading])
    supervisor.end()
    kept = await keeper.kept()
    assert [name for name, _ in kept] == ["b", "b", "c"]
    assert [os.path.sameopenfile(descriptor, reading) for _, descriptor in kept] == [True, True, True]
    assert not any(os.get_inheritable(descriptor) for _, descriptor in kept)
    os.close(reading)
    os.close(writing)


async def test_the_next_supervisor_says_all_of_it_anew(keeper: Keeper) -> None:
    first = Supervisor(keeper)
    await first.attached("a", "b")
    first.end()
    second = Supervisor(keeper)
    await second.attached("b", "c")
    second.end()
    assert await names(keeper) == ["b", "c"]


async def test_what_was_kept_stays_where_the_next_one_does_not_say_what_it_has(keeper: Keeper) -> None:
    first = Supervisor(keeper)
    await first.attached("a")
    first.end()
    with structlog.testing.capture_logs() as logs:
        second = Supervisor(keeper)
        await second.asked()
        second.tell("b", [0])
        second.say(protocol.encode_refusal(2, Refusal(Reason.PERMISSION_DENIED, "not for you")))
        await second.attaching
        third = Supervisor(keeper)
        await third.asked()
        third.end()
        await third.attaching
    assert ["not for you" in logs[0]["error"], logs[1]["error"]] == [True, "the supervisor ended"]
    assert await names(keeper) == ["a"]
    second.end()


async def test_garbage_ends_it(keeper: Keeper) -> None:
    supervisor = Supervisor(keeper)
    await supervisor.attached("a")
    supervisor.say(b'{"id": 0, "kept": {"name": "b"}}\n')
    assert await names(keeper) == ["a"], "though the supervisor has not ended"
    supervisor.end()


async def test_without_room_for_another_descriptor_it_keeps_what_it_has(keeper: Keeper) -> None:
    supervisor = Supervisor(keeper)
    await supervisor.attached("a")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(each.name) for each in OWN.iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
    holes = []
    try:
        while True:
            holes.append(os.dup(0))
    except OSError:
        pass
    try:
        supervisor.tell("b", [0, 0])
        supervisor.tell("c", [0])
        kept = await names(keeper)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in holes:
            os.close(descriptor)
    assert kept == ["a"]
    supervisor.end()
