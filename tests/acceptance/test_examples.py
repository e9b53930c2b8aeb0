"""Every script in examples/, and every block of docs/sdk.md, does what it says, with a real server and real agents."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import csv
import inspect
import io
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.house import House, Rest, Server, until
from harness.server import PASSWORD

EXAMPLES = Path(__file__).parents[2] / "examples"
PAGE = EXAMPLES.parent / "docs" / "sdk.md"


class Reader:
    """Somebody who tries the examples: `env` is what their first lines say."""

    def __init__(self, house: House, server: Server) -> None:
        self.house = house
        self.server = server
        self.rest: Rest = server.rest("op")
        self.env = {
            **os.environ,
            "QUIX_URL": server.http,
            "QUIX_USERNAME": "op",
            "QUIX_PASSWORD": PASSWORD,
            "QUIX_TOKEN": self.rest.token,
        }

    def try_out(self, name: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run an example to its end."""
        return subprocess.run(
            [sys.executable, EXAMPLES / name, *args],
            env={**self.env, **env},
            cwd=self.house.root,
            capture_output=True,
            text=True,
            timeout=60,
        )


@pytest.fixture(scope="module")
def reader(users: Path) -> Iterator[Reader]:
    house = House(users)
    server = house.server(
        vpn__wireguard__enabled="true", vpn__wireguard__endpoint="vpn.example:51820", sample_interval="1"
    )
    for name in ("web-1", "web-2"):
        house.agent(server.url, "--label=site=north", name=name).wait_for("enrolled")
    server.rest().post("/users", name="ada", role="operator", password=PASSWORD)
    yield Reader(house, server)
    house.close()


def test_every_example_is_tried() -> None:
    here = Path(__file__).read_text()
    scripts = sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert scripts
    assert [name for name in scripts if f'"{name}"' not in here] == []


def test_log_in_and_list(reader: Reader) -> None:
    done = reader.try_out("list_backends.py")
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [["web-1", "online"], ["web-2", "online"]], done
    denied = reader.try_out("list_backends.py", QUIX_PASSWORD="wrong password")
    assert (denied.returncode, denied.stdout) == (1, "")
    assert denied.stderr.startswith("password_invalid: ")


def test_run_on_many_backends(reader: Reader) -> None:
    done = reader.try_out("run_everywhere.py", "sh", "-c", "echo hello; exit 3")
    assert done.returncode == 1, done
    lines = done.stdout.splitlines()
    assert sorted(zip(lines[::2], lines[1::2], strict=True)) == [("web-1: 3", "hello"), ("web-2: 3", "hello")]
    assert reader.try_out("run_everywhere.py", "true").returncode == 0
    assert "command_not_found" in reader.try_out("run_everywhere.py", "no-such-program").stdout


def test_follow_events(reader: Reader) -> None:
    process = subprocess.Popen(
        [sys.executable, EXAMPLES / "follow_events.py"],
        env=reader.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "following\n"
        backend = next(each["id"] for each in reader.rest.backends() if each["name"] == "web-1")
        # It follows from its first answer on, which may be a moment after it says so.
        until(lambda: reader.rest.execute("web-1", "sh", "-c", "exit 4") and read(process), "an event is shown")
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, errors
    assert set(rest.splitlines()) <= {f"{backend} sh exited 4"}


def read(process: subprocess.Popen[str]) -> bool:
    """Whether the process says within a second that a run has ended."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], 1)
    return bool(ready) and process.stdout.readline().endswith(" sh exited 4\n")


def test_history_to_csv(reader: Reader) -> None:
    until(
        lambda: reader.rest.get("/backends/web-1/telemetry/history?metrics=cpu")["series"]["cpu"], "there are samples"
    )
    done = reader.try_out("history_to_csv.py", "web-1")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert rows, done
    assert all(float(row["memory_used"]) > 0 and 0 <= float(row["cpu"]) <= 1 for row in rows)
    assert reader.try_out("history_to_csv.py", "web-9").stderr.startswith("backend_unknown: ")


def test_make_a_token(reader: Reader) -> None:
    done = reader.try_out("make_token.py", "north.token", "site=north")
    assert done.returncode == 0, done
    path = reader.house.root / "north.token"
    assert path.stat().st_mode & 0o777 == 0o600
    token = path.read_text().strip()
    assert token not in done.stdout
    assert reader.try_out("run_everywhere.py", "true", QUIX_TOKEN=token).returncode == 0
    again = reader.try_out("make_token.py", "north.token", "site=north")
    assert again.returncode == 1
    assert "File exists" in again.stderr


def test_vpn_configuration(reader: Reader) -> None:
    done = reader.try_out("vpn_configuration.py", "phone", "phone.conf")
    path = reader.house.root / "phone.conf"
    assert done.returncode == 0, done
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    address = done.stdout.split()[-1]
    assert f"Address = {address}/" in text
    assert "Endpoint = vpn.example:51820" in text
    # wg-quick reads it.
    stripped = subprocess.run(["wg-quick", "strip", path], capture_output=True, text=True)
    assert "[Peer]" in stripped.stdout, stripped


# -- the page -------------------------------------------------------------------------------------


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(blocks())))
def test_what_the_page_shows_can_be_run(reader: Reader, number: int) -> None:
    code = compile(blocks()[number], f"{PAGE.name}, block {number}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names = {"url": reader.server.http, "password": PASSWORD, "token": reader.rest.token}
    with contextlib.redirect_stdout(io.StringIO()):
        result = eval(code, names)
        if inspect.iscoroutine(result):
            asyncio.run(asyncio.wait_for(result, 30))
