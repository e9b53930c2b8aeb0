"""The command line as a user meets it: what it prints, and what it exits with."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from acceptance.house import House, Rest, Server
from harness.server import PASSWORD, free_port

Quix = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def quix(common: House, shared: Server, tmp_path: Path) -> Quix:
    """Run a command as the admin of the shared server, or with a login of one's own."""

    def run(*args: str, user: str = "root", stdin: str = "") -> subprocess.CompletedProcess[str]:
        home = {"XDG_CONFIG_HOME": str(tmp_path / user), "COLUMNS": "80"}
        if args[0] != "login" and not (tmp_path / user).exists():
            login = ("login", shared.http, "--username", user, "--password-stdin")
            assert common.quix(*login, stdin=PASSWORD, env=home).returncode == 0
        return common.quix(*args, stdin=stdin, env=home)

    return run


def fails(done: subprocess.CompletedProcess[str], code: int, text: str) -> None:
    """It exited with `code`, and said why in one line."""
    assert done.returncode == code, done.stderr
    assert text in done.stderr
    assert done.stderr.startswith("quix: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.root
def test_a_program_from_start_to_end(quix: Quix, machine: str) -> None:
    started = json.loads(quix("run", "-d", "--json", machine, "--", "sleep", "100").stdout)
    [row] = [row for row in json.loads(quix("ps", machine, "--json").stdout) if row["pid"] == started["proc_id"]]
    assert row["reqc"] == "sleep 100"
    assert "sleep 100" in quix("ps", machine).stdout
    assert started["run_id"] in quix("runs", machine).stdout
    done = quix("kill", "-s", "SIGKILL", machine, str(started["proc_id"]))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert quix("run", machine, "--", "true").stdout.startswith("pid ")


def test_a_backend_is_named_by_id_or_name(quix: Quix, machine: str) -> None:
    by_name = json.loads(quix("telemetry", "machine", "--stat", "ttl_mem_usage", "--json").stdout)
    assert [*by_name] == ["ttl_mem_usage"]
    assert quix("telemetry", machine).stdout.startswith("cpu ")
    assert "machine" in quix("ls").stdout
    assert machine in {row["id"] for row in json.loads(quix("ls", "--json").stdout)}


def test_who_is_logged_in_and_out(quix: Quix, tmp_path: Path) -> None:
    assert quix("whoami", user="watch").stdout == "watch (viewer)\n"
    kept = tmp_path / "watch" / "quix" / "credentials.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert PASSWORD not in kept.read_text()
    assert quix("logout", user="watch").returncode == 0
    assert not kept.exists()
    fails(quix("whoami", user="watch"), 77, "not logged in; run `quix login URL")


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (("ps", "no-such-backend"), 68, "backend_unknown"),
        (("kill", "machine", "1"), 1, "pid_unknown"),
        (("kill", "-s", "SIGUSR1", "machine", "1"), 1, "mode_invalid"),
        (("run", "machine", "--", "no-such-program"), 127, "command_not_found"),
        (("run", "machine", "--", "/etc/passwd"), 126, "permission_denied"),
        (("run", "no-such-backend", "--", "true"), 125, "backend_unknown"),
        (("kill", "machine", "-s", "", "1"), 65, "mode"),
        (("vpn", "conf", "machine"), 1, "vpn_unavailable"),
        (("vpn", "revoke", "machine"), 1, "lease_unknown"),
    ],
)
@pytest.mark.usefixtures("machine")
def test_failures_are_one_line_and_a_code_of_their_own(quix: Quix, args: tuple[str, ...], code: int, text: str) -> None:
    fails(quix(*args), code, text)


@pytest.mark.usefixtures("machine")
def test_a_viewer_reads_and_changes_nothing(quix: Quix) -> None:
    assert quix("ps", "machine", user="watch").returncode == 0
    fails(quix("kill", "machine", "1", user="watch"), 77, "permission_denied")
    fails(quix("rm", "machine", user="watch"), 77, "permission_denied")


def test_logins_that_fail(quix: Quix, shared: Server) -> None:
    login = ("login", shared.http, "--password-stdin", "--username")
    fails(quix(*login, "nobody", stdin="wrong password"), 77, "password_invalid")
    fails(quix(*login, "gate", stdin=PASSWORD), 77, "permission_denied")
    fails(quix("login", "ftp://x", "--username", "a", "--password-stdin", stdin="x"), 65, "must begin with https://")
    plain = ("login", "http://192.0.2.1", "--username", "a", "--password-stdin")
    fails(quix(*plain, stdin="x"), 65, "would send secrets in the clear")


def test_a_server_that_is_not_there_and_one_that_is_not_quix(quix: Quix) -> None:
    login = ("--username", "a", "--password-stdin")
    fails(quix("login", f"http://127.0.0.1:{free_port()}", *login, stdin="x"), 69, "Connection refused")

    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        fails(quix("login", f"http://127.0.0.1:{server.server_port}", *login, stdin="x"), 76, "no Quix server")
        server.shutdown()


def test_users_are_kept_on_the_store_while_the_server_runs(quix: Quix, common: House, shared: Server) -> None:
    place = ("--data-dir", str(shared.data_dir))
    assert quix("user", "add", "new", "--role", "viewer", "--password-stdin", *place, stdin=PASSWORD).returncode == 0
    assert quix("whoami", user="new").stdout == "new (viewer)\n"
    fails(quix("user", "add", "new", "--role", "viewer", "--password-stdin", *place, stdin=PASSWORD), 65, "exists")
    fails(quix("user", "add", "n", "--role", "king", "--password-stdin", *place, stdin=PASSWORD), 65, "role: ")
    fails(quix("user", "add", "n/", "--role", "admin", "--password-stdin", *place, stdin=PASSWORD), 65, "name: ")
    fails(quix("user", "passwd", "new", "--password-stdin", *place, stdin="short"), 65, "password: ")
    assert quix("user", "role", "new", "operator", *place).returncode == 0
    assert "new" in quix("user", "ls", *place).stdout
    assert quix("user", "rm", "new", *place).returncode == 0
    fails(quix("user", "rm", "new", *place), 65, "there is no user")
    fails(quix("user", "rm", "root", *place), 65, "last admin")


def test_settings_that_cannot_be_used(common: House, tmp_path: Path) -> None:
    fails(common.quix("server"), 78, "data_dir")
    fails(common.quix("server", "--data-dir", str(tmp_path), "--listen", "nowhere"), 78, "listen: ")
    fails(common.quix("server", "--config", str(tmp_path / "no.toml")), 78, "config: ")
    fails(common.quix("agent", "--server", "http://x", "--data-dir", str(tmp_path)), 78, "server: ")
    assert common.quix("no-such-command").returncode == 2


def test_help_and_version_need_nothing(common: House) -> None:
    assert common.quix("--version").stdout == "quix 0.1.0\n"
    text = common.quix("--help").stdout
    for command in ("server", "agent", "demo", "login", "ls", "run", "ps", "kill", "telemetry", "vpn", "user"):
        assert f" {command} " in text


def test_a_traceback_is_shown_on_request_only(quix: Quix) -> None:
    assert "Traceback" not in quix("ps", "no-such-backend").stderr
    assert "Traceback" in quix("--debug", "ps", "no-such-backend").stderr


def test_the_sdk_does_what_the_commands_do(shared: Server, rest: Rest, machine: str) -> None:
    from quix.client import Client, DeniedError, RefusedError, UnknownBackendError

    with Client.login(shared.http, "root", PASSWORD) as client:
        assert machine in {backend.id for backend in client.backends()}
        assert client.backend("machine").id == machine
        assert client.me().role == "admin"
        assert {user.name for user in client.users()} >= {"root", "watch", "gate"}
        with pytest.raises(UnknownBackendError):
            client.backend("no-such-backend")
        with pytest.raises(RefusedError) as caught:
            client.execute(machine, ["no-such-program"])
        assert caught.value.reason == "command_not_found"
        client.logout()
        with pytest.raises(DeniedError):
            client.me()
    assert PASSWORD not in repr(client)
    assert rest.token not in repr(client)
