"""Opening the operators' door, and closing it while somebody is in it."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from harness.api import Place, place, problem
from harness.server import door, free_port
from quix.api.door import opened
from quix.exits import Exit, QuixError
from quix.store.users import Role


async def test_an_address_in_use_is_a_clear_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with door(tmp_path, http=address) as here:
            with pytest.raises(QuixError, match=f"cannot listen on {address}: ") as caught:
                async with opened(here.control):
                    pass
    assert caught.value.code is Exit.CONFIG


@pytest.mark.parametrize("address", ["192.0.2.1:8480", "no.such.host.invalid:8480", "127.0.0.1:99999"])
async def test_an_address_that_is_not_here_is_a_clear_error(tmp_path: Path, address: str) -> None:
    async with door(tmp_path, http=address) as here:
        with pytest.raises(QuixError, match=address):
            async with opened(here.control):
                pass


async def test_the_port_is_free_once_the_door_is_closed(tmp_path: Path) -> None:
    async with door(tmp_path, http=f"localhost:{free_port()}") as here:
        for _ in range(2):
            async with opened(here.control), httpx.AsyncClient() as web:
                assert (await web.get(f"http://{here.control.settings.http}/healthz")).status_code == 200


async def test_the_process_keeps_its_own_signal_handlers(tmp_path: Path) -> None:
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    async with door(tmp_path, http=f"127.0.0.1:{free_port()}") as here, opened(here.control):
        assert [signal.getsignal(number) for number in numbers] == before


async def _asked(agent: Any) -> None:
    async with asyncio.timeout(10):
        while not agent.asked:
            await asyncio.sleep(0.01)


async def test_a_request_in_progress_may_end_while_the_door_closes(tmp_path: Path) -> None:
    hold = asyncio.Event()
    answers: list[httpx.Response] = []

    async def ask(there: Place) -> None:
        answers.append(await viewer.get("/backends/web-1/telemetry"))

    def release(_req: str, _msg: Any) -> Any:
        # Answered some time after the door has begun to close.
        asyncio.get_running_loop().call_later(0.5, hold.set)

    async with place(tmp_path, ask_timeout=20.0) as there:
        viewer = await there.login(Role.VIEWER)
        async with there.agent(release, "web-1") as agent:
            asking = asyncio.create_task(ask(there))
            await _asked(agent)
            closing = asyncio.create_task(there.close())
            await hold.wait()
            await agent.answer({"tele_data": {}})
            await asyncio.gather(asking, closing)
    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {})]


async def test_a_request_that_does_not_end_is_told_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with place(tmp_path, ask_timeout=60.0) as there:
        viewer = await there.login(Role.VIEWER)
        async with there.agent(lambda _req, _msg: None, "web-1") as agent:
            asking = asyncio.create_task(viewer.get("/backends/web-1/telemetry"))
            await _asked(agent)
            began = time.monotonic()
            with caplog.at_level(logging.WARNING):
                await there.close()
            assert time.monotonic() - began < 8
            assert problem(await asking) == (503, "unavailable")
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("has_tls", [False, True])
async def test_beyond_loopback_the_door_speaks_tls_where_it_can(tmp_path: Path, *, has_tls: bool) -> None:
    port = free_port()
    async with door(tmp_path, http=f"0.0.0.0:{port}", tls_self_signed=has_tls) as here:
        with capture_logs() as logs:
            async with opened(here.control):
                context = ssl.create_default_context()
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                async with httpx.AsyncClient(verify=context) as web:
                    scheme = "https" if has_tls else "http"
                    assert (await web.get(f"{scheme}://127.0.0.1:{port}/healthz")).status_code == 200
    warned = [line for line in logs if line["log_level"] == "warning"]
    assert bool(warned) is not has_tls


async def test_on_loopback_the_door_speaks_plain_http(tmp_path: Path) -> None:
    async with (
        door(tmp_path, http=f"127.0.0.1:{free_port()}", tls_self_signed=True) as here,
        opened(here.control),
        httpx.AsyncClient() as web,
    ):
        assert (await web.get(f"http://{here.control.settings.http}/healthz")).status_code == 200
