"""`quix token`, `quix session`, `quix passwd`, and users with labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.api import Place
from harness.cli import Shell
from harness.server import PASSWORD
from quix.exits import Exit


def silent(_req: str, _msg: Any) -> Any:
    return None


async def test_token(there: Place, shell: Shell, tmp_path: Path) -> None:
    async with there.agent(silent, "web-1"), there.agent(silent, "web-2"):
        made = await shell.quix("token", "add", "ci", "--role", "operator", "-b", "web-1", "--expires", "1h")
        assert made.code == 0
        assert "it is shown this once" in made.err
        env = {"QUIX_URL": there.url, "QUIX_TOKEN": made.out.strip()}
        script = Shell(tmp_path / "script")
        assert [row["name"] for row in (await script.quix("ls", "--json", env=env)).json] == ["web-1"]
        assert (await script.quix("token", "ls", env=env)).code == Exit.DENIED
    head, row = (await shell.quix("token", "ls")).out.splitlines()
    assert head.split() == ["ID", "USER", "NAME", "ROLE", "AGE", "ENDS", "IN", "USED", "SEES"]
    assert row.split()[1:4] == ["op", "ci", "operator"]
    assert await shell.quix("token", "rm", row.split()[0]) == (0, "", "")
    assert (await script.quix("ls", env=env)).code == Exit.DENIED
    assert (await shell.quix("token", "ls", "--json")).json == []


async def test_token_that_cannot_be(shell: Shell) -> None:
    result = await shell.quix("token", "add", "ci", "--expires", "soon")
    assert result.complaint.startswith("expires: must be a number")
    assert result.code == Exit.DATA
    assert (await shell.quix("token", "add", "ci", "--role", "admin")).code == Exit.DENIED


async def test_session(there: Place, shell: Shell) -> None:
    other = Shell(shell.home / "other")
    assert (await other.quix("login", there.url, "--username", "op", stdin=PASSWORD)).code == 0
    first, second = (await shell.quix("session", "ls", "--json")).json
    assert [each["is_this"] for each in (first, second)] == [True, False]
    assert "now" in (await shell.quix("session", "ls")).out.splitlines()[1]
    assert await shell.quix("session", "rm", second["id"]) == (0, "", "")
    assert (await other.quix("whoami")).code == Exit.DENIED


async def test_passwd(there: Place, shell: Shell) -> None:
    wrong = await shell.quix("passwd", "--password-stdin", stdin="wrong password\nnext good password\n")
    assert wrong.complaint.startswith("password_invalid")
    assert await shell.quix("passwd", "--password-stdin", stdin=f"{PASSWORD}\nnext good password\n") == (0, "", "")
    assert (await shell.quix("whoami")).code == 0
    assert (await shell.quix("login", there.url, "--username", "op", stdin="next good password")).code == 0


async def test_user_with_labels(there: Place, stranger: Shell, tmp_path: Path) -> None:
    folder = str(tmp_path / "server")
    args = ("--role", "viewer", "--label", "site=south", "--password-stdin", "--data-dir", folder)
    assert (await stranger.quix("user", "add", "ada", *args, stdin=PASSWORD)).code == 0
    assert (await stranger.quix("login", there.url, "--username", "ada", stdin=PASSWORD)).code == 0
    async with there.agent(silent, "web-1"):
        assert (await stranger.quix("ls", "--json")).json == []
        changed = await stranger.quix("user", "label", "ada", "site=north", "--data-dir", folder)
        assert changed == (0, "", "")
        assert [row["name"] for row in (await stranger.quix("ls", "--json")).json] == ["web-1"]
    rows = (await stranger.quix("user", "ls", "--data-dir", folder)).out.splitlines()
    assert rows[1].split() == ["ada", "viewer", "just", "now", "site=north"]
    assert (await stranger.quix("user", "label", "nobody", "--data-dir", folder)).code == Exit.DATA
