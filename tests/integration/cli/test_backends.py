"""`quix ls`, `quix rm`, and how a backend is named."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from harness.api import Place
from harness.cli import Shell
from harness.server import PASSWORD
from quix.exits import Exit


def silent(_req: str, _msg: Any) -> Any:
    return None


@pytest.fixture
async def admin(there: Place, stranger: Shell) -> Shell:
    result = await stranger.quix("login", there.url, "--username", "root", stdin=PASSWORD)
    assert result.code == 0, result
    return stranger


async def test_nobody_has_enrolled(shell: Shell) -> None:
    result = await shell.quix("ls")
    assert (result.code, result.out) == (0, "")
    assert "quix agent --server URL" in result.err
    assert (await shell.quix("ls", "--json")).json == []


async def test_ls(there: Place, shell: Shell) -> None:
    async with there.agent(silent) as gone:
        pass
    await gone.closed()
    async with there.agent(silent, "web-1") as agent:
        head, first, second = (await shell.quix("ls")).out.splitlines()
        assert head.split() == ["NAME", "STATE", "SINCE", "ADDRESS", "OS", "ID"]
        assert first.split() == [gone.id, "offline", "just", "now", "127.0.0.1", gone.id]
        assert second.split() == ["web-1", "online", "just", "now", "127.0.0.1", "Debian", agent.id]
        shown = (await shell.quix("ls", "--json")).json
    assert [backend["id"] for backend in shown] == [gone.id, agent.id]
    assert [backend["connected"] for backend in shown] == [False, True]
    assert shown[0]["facts"] is None
    assert shown[1]["facts"]["labels"] == {"site": "north"}
    assert shown[1]["extensions"] == {"agent": 1}


async def test_ls_on_a_terminal(there: Place, shell: Shell) -> None:
    async with there.agent(silent, "web-1") as agent:
        wide = await shell.on_terminal("ls", columns=100)
        narrow = await shell.on_terminal("ls", columns=40)
    head, row = (re.sub(r"\x1b\[[0-9;]*m", "", line) for line in wide.out.splitlines())
    assert head.split() == ["NAME", "STATE", "SINCE", "ADDRESS", "OS", "ID"]
    assert row.split() == ["web-1", "online", "just", "now", "127.0.0.1", "Debian", agent.id]
    assert "\x1b[32monline" in wide.out
    assert narrow.out == (
        "NAME     web-1\nSTATE    online\nSINCE    just now\n"
        f"ADDRESS  127.0.0.1\nOS       Debian\nID       {agent.id}\n"
    )


async def test_rm(there: Place, admin: Shell) -> None:
    async with there.agent(silent, "web-1") as agent:
        assert await admin.quix("rm", "web-1") == (0, "", "")
        assert (await agent.closed())[0] == 4002
    assert (await admin.quix("ls", "--json")).json == []


async def test_operator_removes_nothing(there: Place, shell: Shell) -> None:
    async with there.agent(silent, "web-1"):
        result = await shell.quix("rm", "web-1")
        assert result.complaint == "permission_denied: op has the role operator, which does not allow that"
        assert result.code == Exit.DENIED


async def test_ambiguous_name(there: Place, shell: Shell) -> None:
    async with there.agent(silent, "web") as one, there.agent(silent, "web") as two:
        result = await shell.quix("runs", "web")
        assert result.complaint == f"backend_ambiguous: 2 backends have that name; use an id: {one.id}, {two.id}"
        assert result.code == Exit.NO_BACKEND
        assert (await shell.quix("runs", two.id)).code == 0


@pytest.mark.parametrize("name", ["nowhere", ".", "..", "../users", "a/b", "ü", "a%2Fb", "?x=1"])
async def test_name_that_nobody_has(shell: Shell, name: str) -> None:
    result = await shell.quix("runs", name)
    assert result.code == Exit.NO_BACKEND, result


async def test_name_that_is_empty(shell: Shell) -> None:
    result = await shell.quix("runs", "")
    assert result.complaint == "backend: it must not be empty"
    assert result.code == Exit.DATA


@pytest.mark.parametrize("name", ["..", "a.b", "100%", "ü b?#"])
async def test_odd_name(there: Place, shell: Shell, name: str) -> None:
    async with there.agent(silent, name):
        assert (await shell.quix("runs", name)).code == 0


async def test_nobody_reads_on(there: Place, shell: Shell) -> None:
    async with there.agent(silent, "web-1"):
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", "quix ls; echo $? >&2", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=shell.env,
        )  # fmt: skip
        assert process.stdout is not None
        process.stdout._transport.close()  # type: ignore[attr-defined]
        _, err = await process.communicate()
        assert err == b"141\n"


async def test_names_and_labels(there: Place, shell: Shell) -> None:
    async with there.agent(silent, "web-1"), there.agent(silent, "web-2"):
        assert await shell.quix("rename", "web-1", "front") == (0, "", "")
        shown = await shell.quix("label", "front", "tier=1", "site=south")
        assert [line.split() for line in shown.out.splitlines()] == [
            ["LABEL", "VALUE", "FROM"],
            ["site", "south", "given"],
            ["tier", "1", "given"],
        ]
        assert (await shell.quix("label", "front", "site-", "--json")).json == {"site": "north", "tier": "1"}
        assert (await shell.quix("label", "front")).out.splitlines()[1].split() == ["site", "north", "agent"]
        for args, expected in (
            (["-l", "tier=1"], ["front"]),
            (["--online", "--sort", "-name"], ["web-2", "front"]),
            (["--offline"], []),
            (["web"], ["web-2"]),
        ):
            assert [row["name"] for row in (await shell.quix("ls", *args, "--json")).json] == expected
        assert (await shell.quix("ls", "--revoked")).err == "There is no such backend.\n"
        assert await shell.quix("rename", "front", "--own") == (0, "", "")
        assert (await shell.quix("label", "web-1", "--json")).json == {"site": "north", "tier": "1"}


async def test_revoke(there: Place, admin: Shell) -> None:
    async with there.agent(silent, "web-1") as agent:
        assert await admin.quix("revoke", "web-1") == (0, "", "")
        assert (await agent.closed())[0] == 4002
    row = (await admin.quix("ls")).out.splitlines()[1]
    assert row.split()[:2] == ["web-1", "revoked"]


@pytest.mark.parametrize(
    ("args", "complaint", "code"),
    [
        (["label", "web-1", "site"], "label: 'site' is no NAME=VALUE or NAME-", Exit.DATA),
        (["label", "web-1", "-"], "label: '-' is no NAME=VALUE or NAME-", Exit.DATA),
        (["ls", "-l", "site-"], "label: 'site-' is no NAME=VALUE", Exit.DATA),
        (["ls", "--online", "--revoked"], "--revoked: not together with --online", Exit.USAGE),
        (["rename", "web-1"], "name: either NAME or --own is needed", Exit.USAGE),
        (["rename", "web-1", "front", "--own"], "name: either NAME or --own is needed", Exit.USAGE),
    ],
)
async def test_what_cannot_be_said(shell: Shell, args: list[str], complaint: str, code: Exit) -> None:
    result = await shell.quix(*args)
    assert (result.complaint, result.code) == (complaint, code)
