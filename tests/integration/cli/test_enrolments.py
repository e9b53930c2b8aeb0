"""`quix enroll-command` and `quix enrolment`."""

from __future__ import annotations

from pathlib import Path

import pytest_asyncio

from harness.api import LOGINS, Place
from harness.cli import Shell
from harness.server import PASSWORD
from quix.exits import Exit
from quix.store.users import Role


@pytest_asyncio.fixture
async def admin(there: Place, tmp_path: Path) -> Shell:
    shell = Shell(tmp_path / "admin")
    done = await shell.quix("login", there.url, "--username", LOGINS[Role.ADMIN], stdin=PASSWORD)
    assert done.code == 0, done.err
    return shell


async def test_the_line_alone_is_on_stdout(admin: Shell) -> None:
    made = await admin.quix("enroll-command", "--uses", "2", "--expires", "30m", "-l", "site=north")
    assert made.code == 0
    (line,) = made.out.splitlines()
    assert line.startswith("{ echo 'QUIX_SERVER=ws://127.0.0.1:")
    assert line.endswith(" sh")
    assert "for 2 machines, within 30m; it holds a secret" in made.err
    assert "quix enrolment rm " in made.err
    assert "for others: --server" in made.err
    elsewhere = await admin.quix("enroll-command", "--server", "wss://control.example.org/wsi")
    assert "QUIX_SERVER=wss://control.example.org/wsi " in elsewhere.out
    assert "for others" not in elsewhere.err


async def test_keys_are_listed_and_ended(admin: Shell) -> None:
    made = (await admin.quix("enroll-command", "-l", "site=north", "--vpn", "wireguard", "--json")).json
    assert "QUIX_VPN=wireguard" in made["command"]
    head, row = (await admin.quix("enrolment", "ls")).out.splitlines()
    assert head.split() == ["ID", "NAME", "BY", "AGE", "ENDS", "IN", "USED", "GIVES"]
    assert row.split()[:3] == [made["id"], made["name"], "root"]
    assert "0 of 1" in row
    assert row.endswith("site=north")
    assert [each["id"] for each in (await admin.quix("enrolment", "ls", "--json")).json] == [made["id"]]
    assert await admin.quix("enrolment", "rm", made["id"]) == (0, "", "")
    again = await admin.quix("enrolment", "rm", made["id"], "--json")
    assert again.complaint.startswith("enrolment_unknown")
    assert "quix enroll-command" in (await admin.quix("enrolment", "ls")).err


async def test_what_cannot_be(admin: Shell, shell: Shell) -> None:
    soon = await admin.quix("enroll-command", "--expires", "soon")
    assert (soon.code, soon.complaint[:24]) == (Exit.DATA, "expires: must be a numbe")
    assert (await admin.quix("enroll-command", "--vpn", "openvpn")).code == Exit.DATA
    assert (await shell.quix("enroll-command")).code == Exit.DENIED
