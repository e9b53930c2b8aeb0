"""`quix login`, `quix logout`, `quix whoami`: who gets in, and what is kept where."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from harness.api import Place, place
from harness.cli import Shell
from harness.server import PASSWORD, free_port
from quix.exits import Exit
from quix.store.users import Role


@asynccontextmanager
async def answering(*parts: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Listen, and answer each connection's first bytes with `parts`; yield the URL and what was heard."""
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(65536))
        for part in parts:
            writer.write(part)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heard


async def test_log_in_is_kept_for_its_owner_alone_and_ends_with_log_out(there: Place, stranger: Shell) -> None:
    result = await stranger.quix("login", there.url + "/", "--username", "op", "--password-stdin", stdin=PASSWORD)
    assert result == (0, "", f"logged in to {there.url} as op\n")
    assert stat.S_IMODE(stranger.credentials.stat().st_mode) == 0o600
    kept = json.loads(stranger.credentials.read_text())
    assert kept["url"] == there.url
    assert PASSWORD not in stranger.credentials.read_text()

    assert (await stranger.quix("whoami")).out == "op (operator)\n"
    assert (await stranger.quix("whoami", "--json")).json == {"url": there.url, "username": "op", "role": "operator"}

    assert (await stranger.quix("logout")).code == 0
    assert not stranger.credentials.exists()
    client = await there.bearer(kept["token"])
    assert (await client.get("/me")).status_code == 401


async def test_log_out_of_a_login_that_had_ended(there: Place, shell: Shell) -> None:
    kept = json.loads(shell.credentials.read_text())
    await there.control.accounts.logout(kept["token"])
    assert await shell.quix("logout") == (0, "", "the login had ended before\n")
    assert not shell.credentials.exists()


@pytest.mark.parametrize("command", [["ls"], ["whoami"], ["logout"], ["kill", "x", "1"], ["vpn", "ls"]])
async def test_not_logged_in(stranger: Shell, command: list[str]) -> None:
    result = await stranger.quix(*command)
    assert result.complaint == "not logged in; run `quix login URL --username NAME`"
    assert result.code == Exit.DENIED


async def test_wrong_password(there: Place, stranger: Shell) -> None:
    result = await stranger.quix("login", there.url, "--username", "op", stdin="not it, I fear\n")
    assert result.complaint == "password_invalid: The user is unknown or the password is wrong."
    assert result.code == Exit.DENIED
    assert not stranger.credentials.exists()


async def test_enroller_is_let_in_nowhere(there: Place, stranger: Shell) -> None:
    result = await stranger.quix("login", there.url, "--username", "gate", stdin=PASSWORD)
    assert result.complaint.startswith("permission_denied: ")
    assert result.code == Exit.DENIED


@pytest.mark.parametrize(
    ("stdin", "complaint"),
    [(b"", "there is none on stdin"), (b"\n", "there is none on stdin"), (b"\xff\n", "not UTF-8")],
)
async def test_no_usable_password(there: Place, stranger: Shell, stdin: bytes, complaint: str) -> None:
    result = await stranger.quix("login", there.url, "--username", "op", "--password-stdin", stdin=stdin)
    assert complaint in result.complaint
    assert result.code == Exit.DATA


async def test_token_that_ended(there: Place, shell: Shell) -> None:
    await there.control.store.users.set_password("op", "x")
    result = await shell.quix("ls")
    assert result.complaint.startswith("token_invalid: ")
    assert result.code == Exit.DENIED


async def test_environment_comes_first(there: Place, shell: Shell) -> None:
    admin = await there.login(Role.ADMIN)
    token = admin.headers["Authorization"].removeprefix("Bearer ")
    env = {"QUIX_URL": there.url, "QUIX_TOKEN": token}
    assert (await shell.quix("whoami", env=env)).out == "root (admin)\n"
    assert (await shell.quix("logout", env=env)).code == 0
    assert (await shell.quix("whoami")).out == "op (operator)\n", "the login that is kept is another one"


@pytest.mark.parametrize(("given", "missing"), [("QUIX_URL", "QUIX_TOKEN"), ("QUIX_TOKEN", "QUIX_URL")])
async def test_half_an_environment_is_not_another_server(there: Place, shell: Shell, given: str, missing: str) -> None:
    result = await shell.quix("ls", env={given: "http://127.0.0.1:1"})
    assert result.complaint.startswith(f"{missing}: ")
    assert result.code == Exit.CONFIG


@pytest.mark.parametrize(
    ("text", "mode", "says"), [("{", 0o600, "damaged"), ("{}", 0o600, "damaged"), ("", 0o644, "chmod")]
)
async def test_unusable_credentials(stranger: Shell, text: str, mode: int, says: str) -> None:
    stranger.credentials.parent.mkdir(parents=True)
    stranger.credentials.write_text(text)
    stranger.credentials.chmod(mode)
    result = await stranger.quix("ls")
    assert says in result.complaint
    assert result.code == Exit.CONFIG


async def test_nobody_listens(stranger: Shell) -> None:
    result = await stranger.quix("login", f"http://127.0.0.1:{free_port()}", "--username", "op", stdin=PASSWORD)
    assert "refused" in result.complaint
    assert result.code == Exit.UNAVAILABLE


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>hi</html>",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nNot Found",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nhaha",
        b"220 mail.example ready\r\n\r\n",
    ],
    ids=["page", "404", "other-json", "redirect", "not-gzip", "no-http"],
)
async def test_other_server(stranger: Shell, answer: bytes) -> None:
    async with answering(answer) as (url, _):
        result = await stranger.quix("login", url, "--username", "op", stdin=PASSWORD)
    assert result.complaint == f"{url}: what answers there is no Quix server; check the URL"
    assert result.code == Exit.PROTOCOL


async def test_no_answer_leaves_it_open_whether_a_change_was_made(stranger: Shell) -> None:
    async with answering() as (url, _):
        env = {"QUIX_URL": url, "QUIX_TOKEN": "x"}
        change = await stranger.quix("kill", "web", "7", env=env)
        look = await stranger.quix("ls", env=env)
    assert change.complaint.endswith("whether it was done is not known")
    assert change.code == Exit.UNKNOWN_OUTCOME
    assert look.complaint.startswith(f"{url}: ")
    assert look.code == Exit.UNAVAILABLE


# -- secrets in the clear -----------------------------------------------------------------------


async def test_nothing_is_sent_in_the_clear_to_another_machine(stranger: Shell) -> None:
    async with answering() as (url, heard):
        away = _as_another_machine(url)
        result = await stranger.quix("login", away, "--username", "op", stdin=PASSWORD)
        token = await stranger.quix("ls", env={"QUIX_URL": away, "QUIX_TOKEN": "x"})
        assert heard == []
    for refused in (result, token):
        assert "--allow-plaintext" in refused.complaint
        assert refused.code == Exit.DATA


async def test_plaintext_that_was_allowed_is_remembered(there: Place, stranger: Shell) -> None:
    away = _as_another_machine(there.url)
    result = await stranger.quix("login", away, "--username", "op", "--allow-plaintext", stdin=PASSWORD)
    assert result.code == 0, result
    assert (await stranger.quix("whoami")).out == "op (operator)\n"


def _as_another_machine(url: str) -> str:
    """The same server by an address that says nothing of loopback; Linux takes it there all the same (ip(7))."""
    return url.replace("127.0.0.1", "0.0.0.0")


async def test_no_proxy_sees_what_goes_to_this_machine(there: Place, shell: Shell) -> None:
    async with answering() as (proxy, heard):
        result = await shell.quix("whoami", env={"http_proxy": proxy, "HTTP_PROXY": proxy, "ALL_PROXY": proxy})
        assert heard == []
    assert result.out == "op (operator)\n"


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8480", "ftp://127.0.0.1", "http://", "http://[::1", "http://127.0.0.1:99999", "https://a:b@c"]
)
async def test_url_that_is_none(stranger: Shell, url: str) -> None:
    result = await stranger.quix("login", url, "--username", "op", stdin=PASSWORD)
    assert result.complaint.startswith("url: ")
    assert "a:b" not in result.complaint
    assert result.code == Exit.DATA


# -- TLS ----------------------------------------------------------------------------------------


async def test_certificate_has_to_be_signed_by_somebody_trusted(
    tmp_path: Path, stranger: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    tls = {"tls_cert": tmp_path / "cert.pem", "tls_key": tmp_path / "key.pem", "http": f"0.0.0.0:{free_port()}"}
    async with place(tmp_path / "server", **tls) as there:
        url = there.url.replace("http://0.0.0.0", "https://localhost")
        result = await stranger.quix("login", url, "--username", "op", stdin=PASSWORD)
        assert "not trusted" in result.complaint
        assert "--ca" in result.complaint
        assert result.code == Exit.UNAVAILABLE

        monkeypatch.chdir(tmp_path)
        result = await stranger.quix("login", url, "--username", "op", "--ca", "ca.pem", stdin=PASSWORD)
        assert result.code == 0, result
        monkeypatch.chdir("/")
        assert (await stranger.quix("whoami")).out == "op (operator)\n"


async def test_https_where_there_is_none(there: Place, stranger: Shell) -> None:
    url = there.url.replace("http:", "https:")
    result = await stranger.quix("login", url, "--username", "op", stdin=PASSWORD)
    assert result.complaint.endswith("check the URL")
    assert result.code == Exit.PROTOCOL


async def test_authorities_that_cannot_be_read(stranger: Shell) -> None:
    result = await stranger.quix("login", "https://quix.example", "--username", "op", "--ca", "/none", stdin=PASSWORD)
    assert result.complaint == "ca: /none: No such file or directory"
    assert result.code == Exit.CONFIG
