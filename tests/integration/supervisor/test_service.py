"""A supervisor that is a service: nobody's to replace, and there whether it has anything to do or not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from harness.supervisor import House, is_alive, until
from quix.supervisor import client as supervisor_client
from quix.supervisor import protocol
from quix.supervisor.client import SupervisorClient
from quix.supervisor.protocol import Hello, Keep
from quix.wire.reasons import Reason, Refusal

IDLE = """
import sys
from quix.supervisor import __main__, supervisor
supervisor.IDLE_LIMIT = 0.1
sys.exit(__main__.main())
"""


class Service:
    """Starts the supervisor of a house, as often as it takes."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._processes: list[subprocess.Popen[bytes]] = []

    async def start(self) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-c", IDLE, *self._house.settings().argv(), "--service"]
        process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
        self._processes.append(process)
        await until(self._house.layout.key.exists, what="the service is there")
        return process

    def end(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            process.wait(20)


@pytest.fixture
def service(house: House) -> Iterator[Service]:
    service = Service(house)
    yield service
    service.end()


async def test_it_does_not_end_while_there_is_nothing_to_do(service: Service) -> None:
    process = await service.start()
    await asyncio.sleep(0.5)
    assert process.poll() is None


async def test_an_agent_with_other_settings_takes_it_as_it_is(house: House, service: Service) -> None:
    process = await service.start()
    client = await house.client("none", max_programs=7)
    assert (client.pid, client.is_service) == (process.pid, True)
    assert any("system folders" in sentence for sentence in client.sandbox.held)
    run = await client.spawn(["sleep", "1000"])
    process.kill()
    process.wait()
    house.layout.key.unlink()
    again = await service.start()
    assert [each.pid for each in await client.runs()] == [run.pid]
    assert client.pid == again.pid, "the agent has waited for the service, and started none"


async def test_a_start_in_doubt_is_not_refused_for_want_of_a_supervisor(
    house: House, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may run: whoever is told that it was refused would start it again."""
    monkeypatch.setattr(supervisor_client, "_WAIT_LIMIT", 0.2)
    process = await service.start()
    client = await house.client()
    process.send_signal(signal.SIGSTOP)
    starting = asyncio.create_task(client.spawn(["sleep", "1000"], key="k"))
    await asyncio.sleep(0.1)  # it has been sent
    process.kill()
    process.wait()
    await asyncio.sleep(0.6)
    assert not starting.done()
    with pytest.raises(Refusal, match="there is no supervisor"):
        await client.spawn(["sleep", "1000"], key="other")
    house.layout.key.unlink()
    await service.start()
    assert (await starting).pid
    assert [run.id for run in await client.runs()] == ["k"]


async def test_it_gives_its_agent_nothing_that_programs_hold(house: House, service: Service) -> None:
    """An agent without rights must not get at their input and output."""
    await service.start()
    asks = protocol.encode_call(1, Hello(house.layout.key.read_text(), "")) + protocol.encode_call(2, Keep())
    with socket.socket(socket.AF_UNIX) as sock, sock.makefile("rb") as lines:
        await until(lambda: sock.connect_ex(str(house.layout.socket)) == 0, what="it listens")
        sock.sendall(asks)
        greeted, refused = (protocol.refusal(protocol.decode_reply(lines.readline())) for _ in range(2))
    assert greeted is None
    assert refused is not None
    assert refused.reason is Reason.PERMISSION_DENIED


async def test_sigterm_ends_it_and_programs_go_on(house: House, service: Service) -> None:
    process = await service.start()
    client = await house.client()
    run = await client.spawn(["sleep", "1000"])
    await client.close()
    process.terminate()
    assert process.wait(20) == 0
    assert is_alive(run.pid)
    assert not house.layout.socket.exists()
    again = await service.start()
    client = await SupervisorClient.start_or_find(house.settings())
    try:
        assert client.pid == again.pid
        assert [each.pid for each in await client.runs()] == [run.pid]
    finally:
        await client.close()
        os.kill(run.pid, signal.SIGKILL)
