"""No password and no token is where somebody else could read it: logs, arguments, files, answers."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from acceptance.house import House, cmdline, pids, until
from acceptance.raw import RawSocket
from harness.server import PASSWORD

WRONG = "a wrong password, typed with care"


def test_no_secret_is_in_a_log_an_argument_or_an_environment(house: House) -> None:
    server = house.server("--log-level=debug", "--log-format=json", token_validity="6", vpn__wireguard__enabled="true")
    agent = house.agent(server.url, "--log-level=debug", "--vpn=wireguard")
    rest = server.rest()
    backend = rest.wait_online()
    token_file = house.root / "m1" / "agent" / "token.json"
    secrets = {"password": PASSWORD, "wrong": WRONG, "login": rest.token}
    secrets["first token"] = house.token()
    with RawSocket(server.port) as raw:
        raw.ask("authenticate", {"username": "gate", "password": WRONG}, auth=None)
        raw.ask("authenticate", {}, auth=WRONG)
        secrets["raw token"] = raw.enrol()
        raw.ask("get_vpn_conf", {}, auth=WRONG)
    login = house.quix("login", server.http, "--username=op", "--password-stdin", stdin=PASSWORD + "\n")
    assert login.returncode == 0, login.stderr
    credentials = house.root / "config" / "quix" / "credentials.json"
    secrets["cli token"] = json.loads(credentials.read_text())["token"]
    pid = rest.execute(backend, "sleep", "1000")
    until(lambda: "token renewed" in agent.text, "the token is renewed")
    secrets["second token"] = house.token()
    conf = next(iter((house.root / "m1" / "agent" / "vpn").glob("*.conf"))).read_text()
    secrets["pre-shared key"] = conf.partition("PresharedKey")[2].split("\n")[0].strip(" =") or "missing"
    secrets["private key"] = conf.partition("PrivateKey")[2].split("\n")[0].strip(" =") or "missing"
    running = {f"{name} of {number}": text for number in pids() for name, text in outside_of(number)}
    assert any("sleep" in text for text in running.values())
    assert rest.signal(backend, pid, "SIGKILL").status_code == 200
    assert server.terminate() == 0
    places = running | dict(house.logs()) | {"login": login.stdout + login.stderr}
    leaks = [(what, where) for what, secret in secrets.items() for where, text in places.items() if secret in text]
    assert leaks == []
    for file in (token_file, credentials, *(house.root / "m1" / "agent" / "vpn").iterdir()):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def outside_of(pid: int) -> list[tuple[str, str]]:
    """What others can see of a process: its arguments, and (the same user) its environment."""
    if pid == os.getpid():
        return []
    try:
        environ = Path(f"/proc/{pid}/environ").read_text(errors="replace")
    except OSError:
        environ = ""
    return [("arguments", " ".join(cmdline(pid))), ("environment", environ)]


def test_a_secret_in_a_command_is_not_logged_by_the_server(house: House) -> None:
    server = house.server("--log-level=debug")
    agent = house.agent(server.url, "--log-level=debug")
    rest = server.rest()
    pid = rest.execute(rest.wait_online(), "sh", "-c", "sleep 1000", "--api-key=hunter2hunter2")
    assert rest.signal(rest.wait_online(), pid, "SIGKILL").status_code == 200
    for text in (server.text, agent.text, *(text for _, text in house.logs())):
        assert "hunter2hunter2" not in text


@pytest.mark.parametrize("level", ["info", "debug"])
def test_a_password_in_the_wrong_field_is_not_logged(house: House, level: str) -> None:
    """Whoever types a password where the name belongs has shown it to nobody but the server."""
    server = house.server(f"--log-level={level}")
    with RawSocket(server.port) as raw:
        assert raw.ask("authenticate", {"username": WRONG, "password": "x"}, auth=None)["success"] is False
        assert raw.ask("authenticate", {"username": PASSWORD, "password": WRONG}, auth=None)["success"] is False
    assert WRONG not in server.text
    assert PASSWORD not in server.text
