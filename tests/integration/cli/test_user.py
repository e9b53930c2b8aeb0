"""`quix user`, on the store of a server that runs, and of one that never has."""

from __future__ import annotations

import asyncio
import os
import pty
from pathlib import Path

import pytest

from harness.api import Place
from harness.cli import Shell
from harness.server import PASSWORD
from quix.exits import Exit


async def test_life_of_a_user(tmp_path: Path, stranger: Shell) -> None:
    folder = tmp_path / "new" / "server"
    env = {"QUIX_DATA_DIR": str(folder)}
    added = await stranger.quix("user", "add", "root", "--role", "admin", "--password-stdin", stdin=PASSWORD, env=env)
    assert added == (0, "", "")
    assert folder.stat().st_mode & 0o777 == 0o700
    added = await stranger.quix(
        "user", "add", "gate", "--role", "enroller", "--password-stdin", "--data-dir", str(folder), stdin=PASSWORD
    )
    assert added == (0, "", "")

    head, *rows = (await stranger.quix("user", "ls", env=env)).out.splitlines()
    assert head.split() == ["NAME", "ROLE", "AGE", "SEES"]
    assert [row.split()[:2] for row in rows] == [["gate", "enroller"], ["root", "admin"]]

    assert await stranger.quix("user", "role", "gate", "viewer", env=env) == (0, "", "")
    assert [(user["name"], user["role"]) for user in (await stranger.quix("user", "ls", "--json", env=env)).json] == [
        ("gate", "viewer"),
        ("root", "admin"),
    ]
    assert await stranger.quix("user", "rm", "gate", env=env) == (0, "", "")
    assert [user["name"] for user in (await stranger.quix("user", "ls", "--json", env=env)).json] == ["root"]


async def test_user_of_a_server_that_runs(there: Place, tmp_path: Path, stranger: Shell) -> None:
    folder = str(tmp_path / "server")
    args = ("--role", "viewer", "--password-stdin", "--data-dir", folder)
    assert (await stranger.quix("user", "add", "late", *args, stdin="first password")).code == 0
    assert (await stranger.quix("login", there.url, "--username", "late", stdin="first password")).code == 0
    changed = await stranger.quix("user", "passwd", "late", "--data-dir", folder, stdin="second password")
    assert changed == (0, "", "")
    assert (await stranger.quix("login", there.url, "--username", "late", stdin="first password")).code == Exit.DENIED
    assert (await stranger.quix("login", there.url, "--username", "late", stdin="second password")).code == 0


@pytest.fixture
async def folder(tmp_path: Path, stranger: Shell) -> Path:
    """A data folder with one admin, `root`."""
    made = tmp_path / "data"
    args = ("--role", "admin", "--password-stdin", "--data-dir", str(made))
    assert (await stranger.quix("user", "add", "root", *args, stdin=PASSWORD)).code == 0
    return made


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (["add", "root", "--role", "viewer"], "a user named root"),
        (["add", "new", "--role", "king"], "role: 'king' is none of admin, operator, viewer, enroller"),
        (["add", "a b", "--role", "viewer"], "name: 1 to 64 letters"),
        (["passwd", "nobody"], "name: there is no user 'nobody'"),
        (["role", "nobody", "viewer"], "name: there is no user 'nobody'"),
        (["rm", "nobody"], "name: there is no user 'nobody'"),
        (["rm", "root"], "root is the last admin"),
        (["role", "root", "viewer"], "root is the last admin"),
    ],
)
async def test_what_cannot_be_done(folder: Path, stranger: Shell, command: list[str], complaint: str) -> None:
    result = await stranger.quix("user", *command, "--data-dir", str(folder), stdin=PASSWORD)
    assert complaint in result.complaint
    assert result.code == Exit.DATA


async def test_short_password(folder: Path, stranger: Shell) -> None:
    result = await stranger.quix("user", "passwd", "root", "--data-dir", str(folder), stdin="short")
    assert result.complaint == "password: 8 to 1024 characters are needed"
    assert result.code == Exit.DATA


async def test_misspelt_folder_is_not_made(tmp_path: Path, stranger: Shell) -> None:
    result = await stranger.quix("user", "ls", "--data-dir", str(tmp_path / "none"))
    assert result.complaint == f"data_dir: there is no folder {tmp_path / 'none'}"
    assert result.code == Exit.CONFIG
    assert not (tmp_path / "none").exists()


async def test_no_folder(stranger: Shell) -> None:
    result = await stranger.quix("user", "ls")
    assert result.complaint.startswith("data_dir: --data-dir DIR or QUIX_DATA_DIR")
    assert result.code == Exit.CONFIG


# -- typing a password --------------------------------------------------------------------------


async def typing(shell: Shell, lines: list[str], *args: str) -> tuple[int, str]:
    """Run `quix` on a terminal and type a line at each prompt; return its exit status and what was to be seen."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        "setsid", "--ctty", "quix", *args, stdin=theirs, stdout=theirs, stderr=theirs, env=shell.env
    )
    os.close(theirs)
    seen = b""
    try:
        async with asyncio.timeout(60):
            for line in lines:
                while not seen.endswith(b": "):
                    seen += await asyncio.to_thread(os.read, ours, 1024)
                os.write(ours, line.encode())
                seen += b"[typed]"
            code = await process.wait()
            while part := await asyncio.to_thread(_read, ours):
                seen += part
    finally:
        os.close(ours)
    return code, seen.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1024)
    except OSError:  # Linux: EIO where the other end is closed
        return b""


async def test_password_is_asked_for_twice_and_not_shown(folder: Path, stranger: Shell) -> None:
    args = ("user", "passwd", "root", "--data-dir", str(folder))
    code, seen = await typing(stranger, ["typed password\n", "typed password\n"], *args)
    assert code == 0, seen
    assert seen == "Password: [typed]\nThe same again: [typed]\n"


async def test_two_passwords(folder: Path, stranger: Shell) -> None:
    args = ("user", "passwd", "root", "--data-dir", str(folder))
    code, seen = await typing(stranger, ["typed password\n", "other password\n"], *args)
    assert seen.endswith("quix: password: the two are not the same\n")
    assert code == Exit.DATA


async def test_password_of_a_login_is_asked_for_once(there: Place, stranger: Shell) -> None:
    code, seen = await typing(stranger, [f"{PASSWORD}\n"], "login", there.url, "--username", "op")
    assert (code, seen) == (0, f"Password: [typed]\nlogged in to {there.url} as op\n")


async def test_interrupt_at_the_prompt(there: Place, stranger: Shell) -> None:
    code, seen = await typing(stranger, ["\x03"], "login", there.url, "--username", "op")
    assert code == 130
    assert "Traceback" not in seen
