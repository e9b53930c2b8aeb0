"""A run that somebody watches: what is in between may fail, and whoever leaves it leaves it in good order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.house import QUIX, House, Rest, Server, until
from acceptance.operator import Operator
from harness.lossy import losing, page

FAULT = b'{"reason": "internal_error", "detail": "x"}'
FAULTY = b"HTTP/1.1 500 Sorry\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(FAULT), FAULT)

START = rb"POST /api/v1/backends/\w+/processes "
RUN = rb"GET /api/v1/backends/\w+/runs/\w+ "
OUTPUT = rb"GET /api/v1/backends/\w+/runs/\w+/output\?"
INPUT = rb"POST /api/v1/backends/\w+/runs/\w+/input "


@pytest.fixture
def op(common: House, shared: Server, machine: str) -> Operator:
    del machine  # it only has to be there
    return Operator(common, shared)


@pytest.fixture
def login(common: House, op: Operator) -> dict[str, str]:
    """What says by the environment who asks, so that the URL may be another."""
    del op
    kept = json.loads((common.root / "op" / "quix" / "credentials.json").read_text())
    return {"QUIX_TOKEN": kept["token"]}


def runs(rest: Rest, machine: str, title: str) -> list[dict[str, object]]:
    """The runs that were started with an argument of their own."""
    return [run for run in rest.get(f"/backends/{machine}/runs?limit=1000")["items"] if title in run["cmd"]]


def written(rest: Rest, machine: str, run: object) -> int:
    size: int = rest.get(f"/backends/{machine}/runs/{run}/output?limit=1")["state"].get("stdout", 0)
    return size


def end(op: Operator, machine: str, run: object) -> None:
    assert op.quix("kill", "-s", "SIGKILL", machine, str(run)).returncode == 0


# -- what is in between fails -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "instead"),
    [
        (START, page(504)),
        (RUN, b""),
        (RUN, page(502)),
        (OUTPUT, page(502)),
        (OUTPUT, page(503)),
        (INPUT, page(502)),
        (INPUT, FAULTY),
    ],
)
async def test_an_answer_that_does_not_arrive_changes_nothing(
    op: Operator,
    shared: Server,
    machine: str,
    rest: Rest,
    login: dict[str, str],
    request: pytest.FixtureRequest,
    wanted: bytes,
    instead: bytes,
) -> None:
    title = request.node.name
    async with losing(shared.http, wanted, instead) as url:
        op.env |= {**login, "QUIX_URL": url}
        args = ("run", "-i", machine, "--", "sh", "-c", "cat; exit 3", title)
        done = await asyncio.to_thread(op.quix, *args, stdin=b"line\n" * 50_000)
    assert (done.returncode, done.stdout) == (3, b"line\n" * 50_000), done.stderr
    assert len(runs(rest, machine, title)) == 1


# -- it is left ---------------------------------------------------------------------------------


@pytest.mark.parametrize("both", ["", "2>&1"])
def test_a_run_whose_output_nobody_reads_on_goes_on(op: Operator, machine: str, rest: Rest, both: str) -> None:
    title = f"unread{both}"
    command = f'quix run --keep 64K {machine} -- sh -c "exec yes" "{title}" {both} | head -n 1; echo ${{PIPESTATUS[0]}}'
    path = f"{Path(QUIX).parent}:{os.environ['PATH']}"
    done = subprocess.run(["bash", "-c", command], env={**op.env, "PATH": path}, capture_output=True, timeout=60)
    (run,) = runs(rest, machine, title)
    assert done.stdout == b"y\n141\n"
    said = f"quix: left running: quix logs -f {machine} {run['id']}\n".encode()
    assert done.stderr == (b"" if both else said)
    until(lambda: written(rest, machine, run["id"]) > 2**24, "it waits for nobody")
    end(op, machine, run["id"])


@contextlib.contextmanager
def typing(op: Operator, *args: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a command on a terminal; yield it with the descriptor of whoever types there."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r+b", buffering=0) as terminal:
        process = subprocess.Popen([QUIX, *args], stdin=terminal, stdout=terminal, stderr=terminal, env=op.env)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_until(terminal: int, text: bytes) -> bytes:
    found = b""
    while text not in found:
        found += os.read(terminal, 4096)
    return found


def test_the_two_keys_that_leave_a_terminal_are_pressed_one_after_the_other(
    op: Operator, machine: str, rest: Rest
) -> None:
    with typing(op, "run", "-t", machine, "--", "sh", "-c", "stty -echo; echo ready; exec cat -v", "keys") as (
        process,
        terminal,
    ):
        read_until(terminal, b"ready")
        os.write(terminal, b"\x10")  # not the first of the two, as it turns out
        os.write(terminal, b"a\r")
        assert b"^Pa" in read_until(terminal, b"a\r\n")
        # What comes back says that the key after it was read, and not with the next one.
        os.write(terminal, b"b\r\x10")
        read_until(terminal, b"b\r\n")
        os.write(terminal, b"\x11")
        read_until(terminal, b"left running")
        assert process.wait(20) == 130
    (run,) = runs(rest, machine, "keys")
    assert run["state"] == "running"
    end(op, machine, run["id"])


# -- it cannot be watched any longer ------------------------------------------------------------


def test_a_run_that_cannot_be_followed_is_said_where_to_find(house: House) -> None:
    server = house.server()
    house.agent(server.url)
    rest = server.rest()
    backend = rest.wait_online()
    op = Operator(house, server)
    script = "echo ready; while sleep 0.5; do echo more; done"
    with op.running("run", backend, "--", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert rest.call("PATCH", "/users/op", role="viewer").status_code == 200
        assert process.wait(60) == 125
        assert process.stderr is not None
        first, second = process.stderr.read().decode().splitlines()
    (run,) = rest.get(f"/backends/{backend}/runs")["items"]
    assert first.startswith("quix: permission_denied: ")
    assert second == f"quix: left running: quix logs -f {backend} {run['id']}"


def test_a_server_that_is_gone_does_not_hide_where_the_run_is(house: House) -> None:
    server = house.server()
    house.agent(server.url)
    backend = server.rest().wait_online()
    op = Operator(house, server)
    with op.running("run", backend, "--", "sh", "-c", "trap '' INT; echo ready; exec sleep 1000") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"ready\n"
        server.kill()
        assert b"waiting for the connection" in process.stderr.readline()
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            assert server.http.encode() in process.stderr.readline()  # it cannot be passed on
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert f"quix: left running: quix logs -f {backend} ".encode() in process.stderr.read()
