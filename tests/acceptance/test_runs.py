"""Runs from the command line to the program and back: what it writes, what it reads, how it ends, and once only."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import pty
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from acceptance.house import QUIX, House, Program, Rest, Server, until
from acceptance.operator import Operator


@pytest.fixture
def op(common: House, shared: Server, machine: str) -> Operator:
    del machine  # it only has to be there
    return Operator(common, shared)


def size_of(rest: Rest, path: str) -> int:
    """Bytes that a run has written to standard output, by a path that reads them."""
    size: int = rest.get(path)["state"].get("stdout", 0)
    return size


def last_run(rest: Rest, backend: str) -> dict[str, object]:
    run: dict[str, object] = rest.get(f"/backends/{backend}/runs?limit=1000")["items"][-1]
    return run


# -- output and ends ----------------------------------------------------------------------------


def test_output_and_exit_status_are_the_programs(op: Operator, machine: str) -> None:
    done = op.quix("run", machine, "--", "sh", "-c", r"printf 'a\0b\r\n\377'; printf err >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == (b"a\0b\r\n\xff", b"err", 7)


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--", "sh", "-c", "kill -TERM $$"], 143, b""),
        (["--timeout", "0.3s", "--", "sleep", "60"], 124, b"quix: timeout: "),
        (["--", "no-such-program"], 127, b"quix: command_not_found: "),
        (["--", "/etc/passwd"], 126, b"quix: permission_denied: "),
        (["--output", "64K", "--", "yes"], 137, b"quix: output_limit: "),
        (["--cwd", "nowhere", "--", "true"], 125, b"quix: request_invalid: "),
    ],
)
def test_how_a_run_ends_shows_in_the_exit_status(
    op: Operator, machine: str, args: list[str], code: int, said: bytes
) -> None:
    done = op.quix("run", machine, *args)
    assert done.returncode == code, done
    assert done.stderr.startswith(said)
    assert done.stderr.count(b"\n") <= 1


def test_input_goes_to_the_program_and_ends(op: Operator, machine: str) -> None:
    data = random.Random(7).randbytes(3 * 2**20)
    done = op.quix("run", "-i", machine, "--", "sha256sum", stdin=data)
    assert (done.stdout.split()[0].decode(), done.returncode) == (hashlib.sha256(data).hexdigest(), 0)


def test_ctrl_c_goes_to_the_program(op: Operator, machine: str) -> None:
    script = "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.05; done"
    with op.running("run", machine, "--", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == b"caught\n"
        assert process.wait(20) == 5


def test_three_ctrl_c_leave_it_running(op: Operator, machine: str, rest: Rest) -> None:
    with op.running("run", machine, "--", "sh", "-c", "trap '' INT; echo ready; exec sleep 1000") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        for _ in range(3):
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        assert process.wait(20) == 130
        assert process.stderr is not None
        assert b"left running" in process.stderr.read()
    run = last_run(rest, machine)
    assert run["state"] == "running"
    assert op.quix("kill", "-s", "SIGKILL", machine, str(run["id"])).returncode == 0
    until(lambda: last_run(rest, machine)["exit_signal"] == "SIGKILL", "it is ended")


def test_a_terminal_is_a_terminal(op: Operator, machine: str) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r+b", buffering=0) as terminal:
        process = subprocess.Popen(
            [QUIX, "run", "-t", machine, "--", "sh", "-c", "tty; stty size; read line; echo got $line; exit 3"],
            stdin=terminal, stdout=terminal, stderr=terminal, env={**op.env, "LINES": "31", "COLUMNS": "97"},
        )  # fmt: skip
    text = b""
    while b"31 97" not in text:
        text += os.read(ours, 4096)
    os.write(ours, b"x y\r")
    with contextlib.suppress(OSError):
        while part := os.read(ours, 4096):
            text += part
    os.close(ours)
    assert process.wait(20) == 3
    assert b"/dev/pts/" in text
    assert b"got x y\r\n" in text


def test_logs_from_any_offset(op: Operator, machine: str, rest: Rest) -> None:
    started = op.quix("run", "-d", "--json", machine, "--", "sh", "-c", "printf 0123456789; printf err >&2")
    run = json.loads(started.stdout)["run_id"]
    until(lambda: last_run(rest, machine)["state"] == "ended", "it ends")
    assert op.quix("logs", machine, run).stdout == b"0123456789"
    done = op.quix("logs", machine, run, "--stdout", "4", "--stderr", "1")
    assert (done.stdout, done.stderr) == (b"456789", b"rr")
    assert op.quix("logs", "--tail", "2", machine, run).stdout == b"89"
    assert op.quix("logs", "-f", machine, run).stdout == b"0123456789"
    assert b"run_unknown" in op.quix("logs", machine, "0" * 22).stderr


def test_a_run_that_starts_again_until_it_is_told_to_end(op: Operator, machine: str, rest: Rest) -> None:
    args = ["run", "-d", "--json", "--restart", "on-failure", machine, "--", "sh", "-c", "echo go; exit 1"]
    run = json.loads(op.quix(*args).stdout)["run_id"]
    path = f"/backends/{machine}/runs/{run}"
    until(lambda: rest.get(path)["restarts"] >= 2, "it starts again")
    assert op.quix("kill", machine, run).returncode == 0
    ended = until(lambda: found if (found := rest.get(path))["state"] == "ended" else None, "it ends")
    assert op.quix("logs", machine, run).stdout == b"go\n" * (int(ended["restarts"]) + 1)


# -- as an event stream ------------------------------------------------------------------------


def events(rest: Rest, path: str, last: str = "") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the id, the kind and the data of each event."""
    headers = {"Authorization": f"Bearer {rest.token}", **({"Last-Event-ID": last} if last else {})}
    with httpx.stream("GET", f"{rest.http}/api/v1{path}", headers=headers, timeout=30) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        event: dict[str, str] = {}
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if line:
                event[name] = value
            elif "event" in event:
                yield event.get("id", ""), event["event"], json.loads(event["data"])
                event = {}


def test_events_tell_all_and_go_on_where_they_were_cut(machine: str, rest: Rest) -> None:
    script = "for i in 1 2 3 4 5; do echo $i; sleep 0.1; done; echo err >&2; exit 4"
    run = rest.post(f"/backends/{machine}/processes", cmd=["sh", "-c", script])["run_id"]
    path = f"/backends/{machine}/runs/{run}/output/events"
    text, last = {"stdout": b"", "stderr": b""}, ""
    state: dict[str, Any] = {}
    for _ in range(20):
        for place, kind, data in events(rest, path, last):
            last = place
            if kind == "output":
                text[data["stream"]] += base64.b64decode(data["data"])
                break  # connect again after each
            if kind == "end":
                state = data
        if state:
            break
    assert text == {"stdout": b"1\n2\n3\n4\n5\n", "stderr": b"err\n"}
    assert (state["outcome"], state["exit_code"]) == ("exited", 4)


@pytest.mark.parametrize("last", ["x", "1", "1.2.3", "-1.0", "1.x"])
def test_an_id_that_is_none_is_refused(machine: str, rest: Rest, last: str) -> None:
    run = rest.post(f"/backends/{machine}/processes", cmd=["true"])["run_id"]
    answer = rest.call("GET", f"/backends/{machine}/runs/{run}/output/events", headers={"Last-Event-ID": last})
    assert (answer.status_code, answer.json()["reason"]) == (400, "request_invalid")


# -- a backend that is away ---------------------------------------------------------------------


def test_logs_of_a_backend_that_is_away_say_so_at_once(house: House) -> None:
    server = house.server()
    agent = house.agent(server.url)
    rest = server.rest()
    backend = rest.wait_online()
    run = rest.post(f"/backends/{backend}/processes", cmd=["echo", "x"])["run_id"]
    until(lambda: last_run(rest, backend)["state"] == "ended", "it ends")
    agent.terminate()
    until(lambda: rest.online() == [], "it is away")
    op = Operator(house, server)
    done = op.quix("logs", backend, run)
    assert (done.returncode, done.stdout) == (69, b"")
    assert done.stderr.startswith(b"quix: backend_offline: ")
    with op.running("logs", "-f", backend, run) as process:
        assert process.stderr is not None
        assert b"waiting for the connection" in process.stderr.readline()
        house.agent(server.url)
        assert process.wait(30) == 0
        assert process.stdout is not None
        assert process.stdout.read() == b"x\n"


# -- nobody waits for the slow but they themselves ----------------------------------------------


def test_a_slow_operator_slows_down_one_program_and_nothing_else(house: House) -> None:
    server = house.server()
    agent = house.agent(server.url)
    rest = server.rest()
    backend = rest.wait_online()
    op = Operator(house, server)
    args = ["run", "--keep", "1M", backend, "--", "head", "-c", "1000000000", "/dev/zero"]
    with op.running(*args) as process:  # whose output nobody reads
        until(lambda: rest.get(f"/backends/{backend}/runs")["items"], "it was asked for")
        until(lambda: last_run(rest, backend)["state"] == "running", "it runs")
        path = f"/backends/{backend}/runs/{last_run(rest, backend)['id']}/output?limit=1"
        size = until(lambda: found if (found := size_of(rest, path)) > 2**20 else None, "it is full")
        began = time.monotonic()
        for _ in range(5):
            assert op.quix("run", backend, "--", "echo", "quick").stdout == b"quick\n"
        assert time.monotonic() - began < 15
        assert size_of(rest, path) - size < 2**20, "it waits"
        assert process.poll() is None
        for program in (agent, server):
            assert resident(program) < 200e6
        disk = sum(each.stat().st_blocks * 512 for each in (house.root / "m1" / "supervisor" / "runs").iterdir())
        assert disk < 8 * 2**20


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """Press Ctrl-C three times."""
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)


def test_a_run_that_is_left_waits_for_nobody(house: House) -> None:
    server = house.server()
    house.agent(server.url)
    rest = server.rest()
    backend = rest.wait_online()
    op = Operator(house, server)
    script = "trap '' INT; exec head -c 100000000 /dev/zero"
    args = ["run", "--keep", "64K", backend, "--", "sh", "-c", script]
    ways: list[Callable[[subprocess.Popen[bytes]], None]] = [interrupt, lambda process: process.kill()]
    for number, leave in enumerate(ways, 1):
        with op.running(*args) as process:
            runs = f"/backends/{backend}/runs"
            until(lambda n=number, runs=runs: len(rest.get(runs)["items"]) == n, "it was asked for")  # type: ignore[misc]
            run = str(last_run(rest, backend)["id"])
            path = f"/backends/{backend}/runs/{run}"
            until(lambda path=path: size_of(rest, f"{path}/output?limit=1") > 2**16, "it is full")  # type: ignore[misc]
            leave(process)
            process.wait(20)
        if process.returncode == -signal.SIGKILL:
            assert rest.get(path)["state"] == "running"
            assert op.quix("logs", "--release", "--tail", "1", backend, run).returncode == 0
        until(lambda path=path: rest.get(path)["state"] == "ended", "it goes on to its end")  # type: ignore[misc]
        assert rest.get(path)["stdout"] == 100_000_000


def resident(program: Program) -> int:
    """Bytes of memory that a process uses."""
    return int(Path(f"/proc/{program.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
