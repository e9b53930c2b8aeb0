"""What all commands have in common: help, versions, failures, interrupts."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

import pytest

from harness.api import Place
from harness.cli import Shell
from quix import __version__
from quix.exits import Exit


async def test_version(stranger: Shell) -> None:
    assert await stranger.quix("--version") == (0, f"quix {__version__}\n", "")
    assert await stranger.quix("version") == (0, f"quix {__version__}\n", "")
    assert (await stranger.quix("version", "--json")).json == {"version": __version__}


async def test_help_names_every_command(stranger: Shell) -> None:
    result = await stranger.quix("--help")
    assert result.code == 0
    listed = {line.split()[0] for line in result.out.split("Commands:")[1].splitlines() if line.strip()}
    assert listed >= {
        "server", "agent", "demo", "user", "login", "logout", "whoami", "ls", "rm", "run", "ps", "kill", "runs",
        "telemetry", "top", "vpn", "version", "supervisor", "systemd-units",
    }  # fmt: skip


async def test_help_loads_nothing_that_it_does_not_need(stranger: Shell) -> None:
    heavy = ["asyncio", "httpx", "rich", "structlog", "sqlalchemy", "litestar", "picows", "cryptography", "psutil"]
    code = f"import sys, quix.cli; print([name for name in {heavy} if name in sys.modules])"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert out == b"[]\n"


@pytest.mark.parametrize(
    "command", [["nonsense"], ["ls", "--bogus"], ["kill", "web-1"], ["run"], ["ls", "search", "surplus"]]
)
async def test_wrong_command_line(stranger: Shell, command: list[str]) -> None:
    result = await stranger.quix(*command)
    assert result.code == Exit.USAGE
    assert result.out == ""
    assert "Usage: quix" in result.err


async def test_traceback_only_where_it_was_asked_for(stranger: Shell) -> None:
    assert "Traceback" not in (await stranger.quix("ls")).err
    result = await stranger.quix("--debug", "ls")
    assert "Traceback" in result.err
    assert "QuixError: not logged in" in result.err
    assert "Traceback" in (await stranger.quix("ls", env={"QUIX_DEBUG": "1"})).err


async def test_fault_of_our_own_is_one_line(stranger: Shell) -> None:
    # A folder in the file's place is what nobody has thought of.
    stranger.credentials.mkdir(parents=True)
    result = await stranger.quix("vpn", "ls")
    assert "Is a directory" in result.complaint
    assert result.code == Exit.CONFIG


async def test_interrupt(there: Place, shell: Shell) -> None:
    asked = asyncio.Event()

    def stay_silent(_req: str, _msg: Any) -> None:
        asked.set()

    async with there.agent(stay_silent, "web-1"):
        process = await asyncio.create_subprocess_exec(
            "quix", "ps", "web-1", env=shell.env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(20):
            await asked.wait()
            process.send_signal(signal.SIGINT)
            assert await process.communicate() == (b"", b"")
    assert process.returncode == 130
