"""The command line as a person and a script use it, against a real server and a real agent."""

from __future__ import annotations

import json
import os
import stat
import time
from typing import Any

import pytest

from acceptance.house import House, Server, is_alive, until
from acceptance.raw import RawSocket
from harness.server import PASSWORD
from peers import page


@pytest.fixture(scope="module")
def cli(common: House, shared: Server, machine: str) -> House:
    """A house whose command line is logged in as admin."""
    done = common.quix("login", shared.http, "--username=root", "--password-stdin", stdin=PASSWORD + "\n")
    assert done.returncode == 0, done.stderr
    return common


@pytest.fixture
def fresh(house: House) -> House:
    """A house whose command line has never logged in."""
    return house


def printed(house: House, *args: str) -> Any:
    """Return the one JSON document that a command prints."""
    command, *rest = args
    group = [command, rest.pop(0)] if command in ("user", "vpn") else [command]
    done = house.quix(*group, "--json", *rest)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def said(house: House, *args: str) -> tuple[int, str]:
    """Return the exit status of a command that must fail, and what it said; in one line, on stderr only."""
    done = house.quix(*args)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.returncode, done.stderr


# -- from nothing to a running program ----------------------------------------------------------


def test_the_first_five_minutes(fresh: House) -> None:
    """What the README shows, in its order."""
    data_dir = str(fresh.root / "mine")
    add = ["user", "add", "me", "--role=admin", "--password-stdin", "--data-dir", data_dir]
    added = fresh.quix(*add, stdin="long enough\n")
    assert added.returncode == 0, added.stderr
    server = fresh.server(name="mine")
    fresh.password_file.write_text("long enough\n")
    fresh.agent(server.url, username="me", name="web-1").wait_for("enrolled")
    login = fresh.quix("login", server.http, "--username=me", "--password-stdin", stdin="long enough\n")
    assert login.returncode == 0, login.stderr
    until(lambda: [row["name"] for row in printed(fresh, "ls")] == ["web-1"], "it is listed by name")
    started = fresh.quix("run", "-d", "web-1", "--", "sleep", "1000")
    assert started.returncode == 0, started.stderr
    (row,) = printed(fresh, "ps", "web-1")
    assert row["reqc"] == "sleep 1000"
    assert str(row["pid"]) in started.stdout
    assert fresh.quix("kill", "web-1", str(row["pid"])).returncode == 0
    until(lambda: not is_alive(row["pid"]), "it has ended")
    assert printed(fresh, "ps", "web-1") == []
    assert fresh.quix("rm", "web-1").returncode == 0
    assert printed(fresh, "ls") == []


def test_users_are_changed_while_the_server_runs(fresh: House) -> None:
    server = fresh.server()
    where = ["--data-dir", str(server.data_dir)]
    assert {user["name"] for user in printed(fresh, "user", "ls", *where)} == {"root", "op", "watch", "gate"}
    done = fresh.quix("user", "add", "new", "--role=enroller", "--password-stdin", *where, stdin="new password\n")
    assert done.returncode == 0, done.stderr
    with RawSocket(server.port) as backend:
        backend.enrol("new", "new password")
    assert fresh.quix("user", "rm", "new", *where).returncode == 0
    with RawSocket(server.port) as backend:
        answer = backend.ask("authenticate", {"username": "new", "password": "new password"}, auth=None)
        assert answer["reason"] == "password_invalid"
    done = fresh.quix("user", "add", "op", "--role=viewer", "--password-stdin", *where, stdin="new password\n")
    assert done.returncode != 0
    assert "op" in done.stderr
    done = fresh.quix("user", "add", "x", "--role=viewer", "--password-stdin", *where, stdin="short\n")
    assert (done.returncode, "password" in done.stderr) == (65, True)
    done = fresh.quix("user", "add", "x", "--role=king", "--password-stdin", *where, stdin="new password\n")
    assert (done.returncode, "king" in done.stderr) == (65, True)


# -- one JSON document --------------------------------------------------------------------------


def test_ls_shows_backends(cli: House, machine: str) -> None:
    (found,) = [row for row in printed(cli, "ls") if row["id"] == machine]
    assert (found["name"], found["connected"]) == ("machine", True)
    assert machine in cli.quix("ls").stdout


def test_run_ps_and_kill(cli: House, machine: str) -> None:
    started = printed(cli, "run", "-d", "machine", "--", "sh", "-c", "sleep 1000; true", "--json")
    rows = [row for row in printed(cli, "ps", machine) if row["pid"] == started["proc_id"]]
    page.check({"rid": 0, "msg": rows}, page.RUNNING)
    assert rows[0]["reqc"] == "sh -c 'sleep 1000; true' --json"
    (run,) = [run for run in printed(cli, "runs", "machine") if run["id"] == started["run_id"]]
    assert run["proc_id"] == started["proc_id"]
    assert cli.quix("kill", "-s", "SIGKILL", "machine", str(started["proc_id"])).returncode == 0
    until(lambda: not is_alive(started["proc_id"]), "it has ended")


def test_every_process_is_listed_where_that_is_asked_for(cli: House) -> None:
    assert os.getpid() in [row["pid"] for row in printed(cli, "ps", "machine", "--all")]


def test_telemetry_is_in_the_shape_of_the_page(cli: House) -> None:
    kinds = ["ttl_cpu_usage", "ttl_mem_usage", "disk_util", "vpn_status"]
    data = printed(cli, "telemetry", "machine")
    page.check({"rid": 0, "msg": {"tele_data": data}}, page.measured(kinds, has_vpn=False))


def test_leases_are_listed(cli: House) -> None:
    assert printed(cli, "vpn", "ls") == []


# -- exit statuses ------------------------------------------------------------------------------


@pytest.mark.parametrize(("cmd", "code"), [(["no-such-program"], 127), (["/etc/hostname"], 126), ([""], 125)])
def test_run_fails_as_a_shell_does(cli: House, cmd: list[str], code: int) -> None:
    assert said(cli, "run", "-d", "machine", "--", *cmd)[0] == code


def test_a_backend_that_is_not_there_is_68(cli: House) -> None:
    for command in (["ps"], ["telemetry"], ["runs"]):
        code, text = said(cli, *command, "nowhere")
        assert code == 68
        assert "nowhere" in text or "backend" in text


def test_a_name_that_is_not_unique_is_68(fresh: House) -> None:
    server = fresh.server()
    for folder in ("a", "b"):
        fresh.agent(server.url, "--name=twin", name=folder)
    rest = server.rest()
    until(lambda: len(rest.online()) == 2, "both are connected")
    fresh.quix("login", server.http, "--username=root", "--password-stdin", stdin=PASSWORD + "\n")
    until(lambda: [row["name"] for row in printed(fresh, "ls")] == ["twin", "twin"], "both are named")
    code, text = said(fresh, "ps", "twin")
    assert code == 68
    assert all(backend in text for backend in rest.online())
    assert printed(fresh, "ps", rest.online()[0]) == []


def test_a_backend_that_is_offline_is_69_and_one_that_does_not_answer_75(fresh: House) -> None:
    server = fresh.server(ask_timeout="1")
    rest = server.rest()
    fresh.quix("login", server.http, "--username=root", "--password-stdin", stdin=PASSWORD + "\n")
    with RawSocket(server.port) as backend:
        backend.enrol()
        name = rest.wait_online()
        code, text = said(fresh, "ps", name)
        assert code == 75
        assert "unknown" in text
    until(lambda: rest.online() == [], "it is offline")
    code, text = said(fresh, "ps", name)
    assert code == 69
    assert "nothing was sent" in text


def test_a_refusal_is_1_and_says_why(cli: House) -> None:
    code, text = said(cli, "kill", "machine", "1")
    assert code == 1
    assert "pid_unknown" in text
    code, text = said(cli, "kill", "-s", "SIGNOSE", "machine", "1")
    assert code == 1
    assert "mode_invalid" in text


def test_without_a_login_it_is_77(fresh: House) -> None:
    code, text = said(fresh, "ls")
    assert code == 77
    assert "quix login" in text


def test_a_login_that_fails_is_77_and_keeps_nothing(fresh: House) -> None:
    server = fresh.server()
    for username, password, text in (("root", "wrong horse", "password"), ("gate", PASSWORD, "enrol")):
        done = fresh.quix("login", server.http, f"--username={username}", "--password-stdin", stdin=password + "\n")
        assert done.returncode == 77
        assert text in done.stderr
    assert not (fresh.root / "config").exists()


def test_a_viewer_is_denied_with_77(fresh: House) -> None:
    server = fresh.server()
    fresh.agent(server.url)
    backend = server.rest().wait_online()
    fresh.quix("login", server.http, "--username=watch", "--password-stdin", stdin=PASSWORD + "\n")
    assert printed(fresh, "ps", backend) == []
    assert said(fresh, "kill", backend, "1")[0] == 77
    assert said(fresh, "rm", backend)[0] == 77
    assert fresh.quix("run", "-d", backend, "--", "true").returncode == 125


def test_a_server_that_is_not_there_is_69(fresh: House) -> None:
    server = fresh.server()
    fresh.quix("login", server.http, "--username=root", "--password-stdin", stdin=PASSWORD + "\n")
    assert server.terminate() == 0
    assert said(fresh, "ls")[0] == 69


def test_logging_out_ends_the_login_on_the_server_too(fresh: House) -> None:
    server = fresh.server()
    fresh.quix("login", server.http, "--username=root", "--password-stdin", stdin=PASSWORD + "\n")
    file = fresh.root / "config" / "quix" / "credentials.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert printed(fresh, "whoami")["role"] == "admin"
    kept = file.read_bytes()
    assert fresh.quix("logout").returncode == 0
    assert not file.exists()
    file.touch(mode=0o600)
    file.write_bytes(kept)
    assert said(fresh, "whoami")[0] == 77


def test_plain_http_to_another_machine_is_refused(fresh: House) -> None:
    done = fresh.quix("login", "http://192.0.2.1:1", "--username=root", "--password-stdin", stdin=PASSWORD + "\n")
    assert done.returncode == 65
    assert "allow-plaintext" in done.stderr


@pytest.mark.parametrize(
    "args", [["frobnicate"], ["ps"], ["kill", "m1"], ["server", "--no-such-flag"], ["user", "add"]]
)
def test_a_wrong_command_line_is_2(fresh: House, args: list[str]) -> None:
    done = fresh.quix(*args)
    assert done.returncode == 2
    assert "Usage" in done.stderr


def test_help_is_quick(fresh: House) -> None:
    times = []
    for _ in range(5):
        began = time.monotonic()
        assert fresh.quix("--help").returncode == 0
        times.append(time.monotonic() - began)
    assert min(times) < 1, times
