"""What Tab offers, as the shells ask for it, with a real server and in a real bash."""

from __future__ import annotations

import asyncio
import shlex
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from harness.api import Agent, Place
from harness.cli import QUIX, Result, Shell


@pytest.fixture
async def web(there: Place) -> AsyncIterator[Agent]:
    async with there.agent(lambda _req, _msg: {"result": "success", "proc_id": 7}, "web-1") as agent:
        yield agent


async def tab(shell: Shell, line: str, env: dict[str, str] | None = None, kind: str = "bash") -> Result:
    """What is answered where Tab is pressed at the end of a line."""
    words = line.split(" ")
    asked = {"COMP_WORDS": "\n".join(words) if kind == "bash" else line, "COMP_CWORD": str(len(words) - 1)}
    asked |= {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    return await shell.quix(env={"_QUIX_COMPLETE": f"complete_{kind}", **asked, **(env or {})})


async def offered(shell: Shell, line: str, env: dict[str, str] | None = None) -> list[str]:
    result = await tab(shell, line, env)
    assert (result.code, result.err) == (0, ""), result
    return result.out.split()


async def test_names_of_backends(web: Agent, shell: Shell) -> None:
    for line in ("quix ps we", "quix run we", "quix run -b we", "quix rename we", "quix vpn conf we"):
        assert await offered(shell, line) == ["web-1"]
    assert await offered(shell, "quix ps other") == []


async def test_labels(web: Agent, shell: Shell) -> None:
    assert await offered(shell, "quix ls -l si") == ["site=north"]
    assert await offered(shell, "quix run -l site=") == ["site=north"]


async def test_runs(web: Agent, shell: Shell) -> None:
    run: Any = (await shell.quix("run", "-d", "--json", "web-1", "--", "echo", "x")).json["run_id"]
    assert await offered(shell, "quix logs web-1 ") == [run]
    assert await offered(shell, "quix kill web-1 ") == [], "it is untracked, and not known to run"


@pytest.mark.parametrize("kind", ["zsh", "fish"])
async def test_other_shells(web: Agent, shell: Shell, kind: str) -> None:
    result = await tab(shell, "quix ps we", kind=kind)
    assert (result.code, result.err) == (0, "")
    assert "web-1" in result.out


@pytest.mark.parametrize("kind", ["bash", "zsh", "fish"])
async def test_the_script_for_a_shell(stranger: Shell, kind: str) -> None:
    # Else it is the script of the shell that the tests were started in.
    env = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    result = await stranger.quix("--show-completion", kind, env=env)
    assert result.code == 0, result
    assert f"complete_{kind}" in result.out


async def test_nothing_is_said_where_nothing_can_be_known(stranger: Shell) -> None:
    assert await offered(stranger, "quix ps we") == []
    half = {"QUIX_URL": "http://127.0.0.1:1"}
    assert await offered(stranger, "quix ps we", half) == []
    assert await offered(stranger, "quix ps we", {**half, "QUIX_TOKEN": "x"}) == []


async def test_a_server_that_does_not_answer_is_not_waited_for(stranger: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        env = {"QUIX_URL": f"http://127.0.0.1:{silent.getsockname()[1]}", "QUIX_TOKEN": "x"}
        began = time.monotonic()
        assert await offered(stranger, "quix ps we", env) == []
        assert 0.9 < time.monotonic() - began < 10


async def test_in_a_real_bash(web: Agent, shell: Shell) -> None:
    script = f"""
    eval "$({shlex.quote(QUIX)} --show-completion bash)"
    COMP_WORDS=(quix ps we) COMP_CWORD=2
    _quix_completion quix
    printf '%s\\n' "${{COMPREPLY[@]}}"
    complete -p quix
    """
    process = await asyncio.create_subprocess_exec(
        "bash", "--norc", "-c", script, env=shell.env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert (out.decode().splitlines()[0], err) == ("web-1", b"")
    assert b"-F _quix_completion quix" in out
