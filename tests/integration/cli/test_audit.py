"""`quix audit`."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from harness.api import Place
from harness.cli import Shell
from harness.server import PASSWORD
from quix.exits import Exit


@pytest.fixture
async def admin(there: Place, stranger: Shell) -> Shell:
    assert (await stranger.quix("login", there.url, "--username", "root", stdin=PASSWORD)).code == 0
    return stranger


async def test_audit(there: Place, admin: Shell) -> None:
    await there.web.post("/api/v1/login", json={"username": "op", "password": "wrong password"})
    await there.control.audit.flush()
    head, *rows = (await admin.quix("audit")).out.splitlines()
    assert head.split() == ["AT", "USER", "FROM", "ACTION", "BACKEND", "TARGET", "OUTCOME", "DETAIL"]
    assert [row.split()[2:5] for row in rows] == [
        ["root", "127.0.0.1", "login"],
        ["op", "127.0.0.1", "login_failed"],
    ]
    failed = (await admin.quix("audit", "--user", "op", "--since", "1h", "--json")).json
    assert [row["outcome"] for row in failed] == ["password_invalid"]
    assert (await admin.quix("audit", "--action", "login", "--since", "2999-01-01", "--json")).json == []
    assert len((await admin.quix("audit", "-n", "1", "--json")).json) == 1
    exported = (await admin.quix("audit", "--export", "--outcome", "success")).out.splitlines()
    assert [json.loads(line)["action"] for line in exported] == ["login"]


async def test_operator_sees_no_audit(shell: Shell) -> None:
    for args in ((), ("--export",)):
        result = await shell.quix("audit", *args)
        assert result.complaint.startswith("permission_denied: op has the role operator")
        assert result.code == Exit.DENIED


async def test_time_that_is_none(admin: Shell) -> None:
    result = await admin.quix("audit", "--since", "yesterday")
    assert result.complaint == "since: 'yesterday' is neither a time such as 24h nor a date such as 2030-01-31"
    assert result.code == Exit.DATA


async def test_what_is_done_on_the_servers_machine(tmp_path: Path, stranger: Shell) -> None:
    folder = str(tmp_path / "data")
    for name in ("ada", "bob"):
        args = ("--role", "admin", "--password-stdin", "--data-dir", folder)
        assert (await stranger.quix("user", "add", name, *args, stdin=PASSWORD)).code == 0
    await stranger.quix("user", "role", "bob", "viewer", "--data-dir", folder)
    await stranger.quix("user", "passwd", "bob", "--data-dir", folder, stdin="another password")
    await stranger.quix("user", "rm", "bob", "--data-dir", folder)
    with closing(sqlite3.connect(f"{folder}/quix.db")) as store:
        rows = store.execute("SELECT action, target, user, address FROM audit ORDER BY id").fetchall()
    assert [row[:2] for row in rows] == [
        ("user_added", "ada"),
        ("user_added", "bob"),
        ("user_changed", "bob"),
        ("password_changed", "bob"),
        ("user_removed", "bob"),
    ]
    assert {row[2:] for row in rows} == {("", "local")}


async def test_verify(tmp_path: Path, stranger: Shell) -> None:
    folder = str(tmp_path / "data")
    args = ("--role", "admin", "--password-stdin", "--data-dir", folder)
    assert (await stranger.quix("user", "add", "ada", *args, stdin=PASSWORD)).code == 0
    whole = await stranger.quix("audit", "--verify", "--data-dir", folder)
    assert whole.out.startswith("1 rows, whole; the last is 1, ")
    assert whole.code == 0
    with closing(sqlite3.connect(f"{folder}/quix.db")) as store, store:
        store.execute("UPDATE audit SET target = 'eve'")
    broken = await stranger.quix("audit", "--verify", "--data-dir", folder)
    assert broken.out == "row 1 is not what it was when it was written, or row 0 is not\n"
    assert broken.code == Exit.REFUSED
