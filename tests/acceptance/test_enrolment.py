"""The line of `quix enroll-command`, pasted into a shell: from nothing to a backend."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from acceptance.house import House, Rest, Server, is_alive, until
from harness.server import PASSWORD

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

LONGEST = 60.0
"""Seconds that a machine may take to become a backend; most of them are pip's."""


def line_of(house: House, server: Server, *args: str) -> str:
    done = house.quix("login", server.http, "--username", "root", "--password-stdin", stdin=PASSWORD + "\n")
    assert done.returncode == 0, done.stderr
    done = house.quix("enroll-command", *args)
    assert done.returncode == 0, done.stderr
    return done.stdout


def paste(line: str, prefix: Path) -> subprocess.CompletedProcess[str]:
    """Run the line as a shell does that somebody pastes it into."""
    env = {**os.environ, "QUIX_PREFIX": str(prefix)}
    return subprocess.run(["sh"], input=line, env=env, capture_output=True, text=True, timeout=200)


def secret_of(line: str) -> str:
    return line.split("QUIX_PASSWORD=")[1].split("'", maxsplit=1)[0].split(maxsplit=1)[0]


def holders(folder: Path, secret: str) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_a_line_makes_a_machine_a_backend_and_upgrades_it_later(house: House) -> None:
    server = house.server("--tls-self-signed")
    rest: Rest = server.rest()
    line = line_of(house, server, "--label", "site=north")
    machine = house.root / "machine"
    began = time.monotonic()
    done = paste(line, machine)
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    print(f"from nothing to a backend in {took:.1f} s")
    backend = rest.wait_online()
    (found,) = rest.backends()
    assert found["labels"] == {"site": "north"}
    assert found["enrolled_by"].startswith("key-")
    assert rest.get("/enrolments")["items"][0]["used"] == 1
    secret = secret_of(line)
    assert holders(machine, secret) == []
    assert secret not in server.text + done.stdout + done.stderr
    assert took < LONGEST

    # Used up for another machine, and good enough for the same one: that has its token.
    before = int((machine / "var/lib/quix/agent.pid").read_text())
    again = paste(line, machine)
    assert again.returncode == 0, again.stderr
    assert "stays the backend that it was" in again.stderr
    assert not is_alive(before)
    until(lambda: rest.online() == [backend], "the same backend is back")
    assert len(rest.backends()) == 1


def test_a_line_that_is_used_up_says_so(house: House) -> None:
    server = house.server()
    line = line_of(house, server)
    rest = server.rest()
    (key,) = rest.get("/enrolments")["items"]
    assert rest.call("DELETE", f"/enrolments/{key['id']}").status_code == 204
    done = paste(line, house.root / "machine")
    assert done.returncode == 69
    assert done.stderr.splitlines()[-1].startswith("quix: the agent was not enrolled (is the key used up, or over?)")
    assert rest.backends() == []


def test_a_server_with_another_key_gets_nothing_and_gives_nothing(house: House) -> None:
    server = house.server("--tls-self-signed")
    line = line_of(house, server)
    pin = line.split("sha256//")[1].split("'")[0]
    done = paste(line.replace(pin, "A" * 43 + "="), house.root / "machine")
    assert done.returncode == 1
    assert "public key does not match" in done.stderr
    assert not (house.root / "machine").exists()
