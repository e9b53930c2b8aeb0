"""`quix run`, `quix ps`, `quix kill`, `quix runs`, with a backend that answers by hand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from harness.api import Place
from harness.cli import Shell
from quix.exits import Exit

ROW = {
    "title": "Test Server v0.1", "pid": 12351, "cpu_util": 0, "mem_util": 111,
    "reqc": "python3 testserver/testserver.py --help", "port_util": [12345, 56193],
}  # fmt: skip

NO_RUNS = "quix: the program was started; the agent there keeps no output and no exit status\n"


def machine(req: str, msg: Any) -> Any:
    """The seed's own examples."""
    if req == "execute":
        return {"result": "success", "proc_id": 12345}
    return [ROW] if req == "view_running" else {"result": "success"}


def refusing(reason: str) -> Any:
    return lambda _req, _msg: {"result": "failure", "reason": reason}


async def test_run_says_what_was_started(there: Place, shell: Shell) -> None:
    async with there.agent(machine, "web-1") as agent:
        result = await shell.quix("run", "web-1", "--", "sh", "-c", "echo ü", "--json", "")
        assert result.code == 0, result
        assert result.err == NO_RUNS
        assert agent.asked == [("execute", {"cmd": ["sh", "-c", "echo ü", "--json", ""]})]
        (run,) = await there.control.store.runs.page(agent.id, None, 10)
        assert result.out == f"pid 12345, run {run.id}\n"


async def test_run_detached_as_json(there: Place, shell: Shell) -> None:
    async with there.agent(machine) as agent:
        result = await shell.quix("run", "-d", "--json", agent.id, "--", "true")
        assert result.err == ""
        (run,) = await there.control.store.runs.page(agent.id, None, 10)
        assert result.json == {"proc_id": 12345, "run_id": run.id}


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("command_not_found", 127),
        ("permission_denied", 126),
        ("policy_denied", 126),
        ("limit_reached", 125),
        ("execute_failed", 125),
        ("backend_unknown", 125),
    ],
)
async def test_run_that_is_refused(there: Place, shell: Shell, reason: str, code: int) -> None:
    async with there.agent(refusing(reason), "web-1"):
        result = await shell.quix("run", "web-1", "--", "nothing")
    assert result.complaint.startswith(f"{reason}: ")
    assert result.code == code


async def test_run_that_fails_for_quix(there: Place, shell: Shell) -> None:
    unknown = await shell.quix("run", "nowhere", "--", "true")
    assert unknown.complaint == "backend_unknown: There is no backend of that id or name."
    assert unknown.code == 125
    stranger = await shell.quix("run", "nowhere", "--", "true", env={"XDG_CONFIG_HOME": str(shell.home / "none")})
    assert stranger.complaint.startswith("not logged in")
    assert stranger.code == 125


async def test_argument_that_is_not_utf8(shell: Shell) -> None:
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", "exec quix run web -- $(printf '\\377')", env=shell.env, stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert err == b"quix: a value is not UTF-8 and cannot be sent\n"
    assert process.returncode == 125


async def test_run_without_a_program(shell: Shell) -> None:
    result = await shell.quix("run", "web-1")
    assert result.code == Exit.USAGE
    assert "Missing argument 'CMD...'" in result.err


async def test_ps(there: Place, shell: Shell) -> None:
    async with there.agent(machine, "web-1") as agent:
        assert (await shell.quix("ps", "web-1")).out.splitlines() == [
            "  PID  CPU%  MEMORY  PORTS        TITLE             COMMAND",
            "12351   0.0  111 MB  12345,56193  Test Server v0.1  python3 testserver/testserver.py --help",
        ]
        assert (await shell.quix("ps", "-v", "--json", "web-1")).json == [ROW]
        assert agent.asked == [("view_running", {"verb": 1}), ("view_running", {"verb": 2})]


async def test_nothing_runs(there: Place, shell: Shell) -> None:
    async with there.agent(lambda _req, _msg: [], "web-1"):
        assert await shell.quix("ps", "web-1") == (0, "", "Nothing runs.\n")
        assert (await shell.quix("ps", "web-1", "--json")).json == []


async def test_kill(there: Place, shell: Shell) -> None:
    async with there.agent(machine, "web-1") as agent:
        assert await shell.quix("kill", "web-1", "7") == (0, "", "")
        assert await shell.quix("kill", "-s", "SIGHUP", "web-1", "7") == (0, "", "")
        assert agent.asked == [
            ("proc_signal", {"pid": 7, "mode": "SIGTERM"}),
            ("proc_signal", {"pid": 7, "mode": "SIGHUP"}),
        ]


async def test_kill_that_is_refused(there: Place, shell: Shell) -> None:
    async with there.agent(refusing("pid_unknown"), "web-1"):
        result = await shell.quix("kill", "web-1", "7")
    assert result.complaint.startswith("pid_unknown: ")
    assert result.code == Exit.REFUSED


@pytest.mark.parametrize("target", ["x", "1.5", "12345678901"])
async def test_kill_of_what_is_no_pid_means_a_run(there: Place, shell: Shell, target: str) -> None:
    async with there.agent(machine, "web-1") as agent:
        result = await shell.quix("kill", "web-1", target)
        assert result.complaint.startswith("run_unknown: ")
        assert agent.asked == []


async def test_backend_that_is_offline(there: Place, shell: Shell) -> None:
    async with there.agent(machine, "web-1") as agent:
        pass
    await agent.closed()
    result = await shell.quix("kill", "web-1", "7")
    assert result.complaint.startswith("backend_offline: ")
    assert result.code == Exit.UNAVAILABLE
    assert (await shell.quix("run", "web-1", "--", "true")).code == 125


async def test_backend_that_stays_silent(there: Place, shell: Shell) -> None:
    async with there.agent(lambda _req, _msg: None, "web-1"):
        result = await shell.quix("kill", "web-1", "7")
    assert result.complaint.startswith("timeout: ")
    assert result.code == Exit.UNKNOWN_OUTCOME


async def test_runs(there: Place, shell: Shell) -> None:
    async with there.agent(machine, "web-1") as agent:
        assert (await shell.quix("runs", "web-1")).err == "Nothing has been started there yet.\n"
        started = (await shell.quix("run", "-d", "--json", "web-1", "--", "echo", "a b")).json
        head, row = (await shell.quix("runs", "web-1")).out.splitlines()
        assert head.split() == ["RUN", "PID", "STARTED", "TOOK", "STATE", "BY", "COMMAND"]
        assert row.split() == [started["run_id"], "12345", "just", "now", "untracked", "op", "echo", "'a", "b'"]
        (run,) = (await shell.quix("runs", "web-1", "--json")).json
        assert run["id"] == started["run_id"]
        assert run["backend_id"] == agent.id
        assert run["cmd"] == ["echo", "a b"]


async def test_what_a_backend_says_moves_no_cursor(there: Place, shell: Shell) -> None:
    row = {**ROW, "title": "\x1b[2J\x1b]0;mine\x07", "reqc": "a\nb\u202ec"}
    async with there.agent(lambda _req, _msg: [row], "web-1"):
        assert "\ufffd[2J\ufffd]0;mine\ufffd  a\ufffdb\ufffdc\n" in (await shell.quix("ps", "web-1")).out
    async with there.agent(refusing("\x1b[2J\n"), "web-2"):
        assert "\x1b" not in (await shell.quix("kill", "web-2", "7")).complaint
