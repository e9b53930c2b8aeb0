"""`quix run` on many backends: real agents, a real server, and what comes out at the other end."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from acceptance.house import QUIX, House, Rest, Server, until
from acceptance.operator import Operator
from acceptance.raw import RawSocket
from harness.crowd import Crowd, add_backends
from harness.cutter import Cutter
from harness.server import PASSWORD
from quix.exits import Exit

NAMES = ("alpha", "beta", "gamma-long")


@pytest.fixture(scope="module")
def home(users: Path) -> Iterator[House]:
    house = House(users)
    yield house
    house.close()


@pytest.fixture(scope="module")
def fleet(home: House) -> Server:
    """A server with three agents that are there, and one that has gone."""
    server = home.server(max_in_progress="64")
    away = home.agent(server.url, "--label=site=north", name="away")
    away.wait_for("enrolled")
    away.terminate()
    for name in NAMES:
        labels = f"site={'south' if name == 'alpha' else 'north'}"
        home.agent(server.url, f"--label={labels}", name=name).wait_for("enrolled")
    rest = server.rest()
    until(lambda: len(rest.online()) == len(NAMES), "all are connected")
    return server


@pytest.fixture(scope="module")
def rest(fleet: Server) -> Rest:
    return fleet.rest()


@pytest.fixture(scope="module")
def op(home: House, fleet: Server) -> Operator:
    return Operator(home, fleet)


def documents(out: bytes) -> dict[str, dict[str, Any]]:
    """The lines of JSON, by the name of their backend; none has two."""
    found = [json.loads(line) for line in out.splitlines()]
    by_name = {each["backend"]: each for each in found}
    assert len(by_name) == len(found)
    return by_name


def runs_of(rest: Rest, cmd: list[str]) -> list[dict[str, Any]]:
    """Every run of exactly this command, on all backends."""
    return [
        run
        for backend in rest.backends()
        for run in rest.get(f"/backends/{backend['id']}/runs?limit=1000")["items"]
        if run["cmd"] == cmd
    ]


# -- what is shown ------------------------------------------------------------------------------


def test_lines_have_the_name_of_their_backend(op: Operator) -> None:
    done = op.quix("run", "--all", "--online", "--", "sh", "-c", r"echo one; echo odd >&2; printf two")
    assert done.returncode == 0, done
    lines = done.stdout.decode().splitlines()
    for name in NAMES:
        mine = [line for line in lines if line.startswith(name)]
        assert mine == [f"{name:10} | one", f"{name:10} | two"]
    *odd, summary = done.stderr.decode().splitlines()
    assert sorted(odd) == [f"{name:10} | odd" for name in NAMES]
    assert summary.startswith("quix: 3 backends in ")
    assert summary.endswith(": 3 ok")


def test_grouped_output_is_not_mixed(op: Operator) -> None:
    script = "for i in 1 2 3; do echo $i; sleep 0.2; done"
    done = op.quix("run", "--group", "--all", "--online", "--", "sh", "-c", script)
    assert done.returncode == 0, done
    names = [line.split()[0] for line in done.stdout.decode().splitlines()]
    assert len(names) == 9
    assert [names[at] for at in (0, 3, 6)] == [names[at] for at in (2, 5, 8)]
    assert sorted({*names}) == sorted(NAMES)


def test_a_large_output_arrives_whole(op: Operator) -> None:
    for more in ([], ["--group"]):
        done = op.quix("run", *more, "-b", "alpha", "-b", "beta", "--", "seq", "200000")
        lines = done.stdout.decode().splitlines()
        for name in ("alpha", "beta"):
            mine = [line.partition(" | ")[2] for line in lines if line.startswith(name)]
            assert mine == [str(number) for number in range(1, 200001)]


def test_json_has_a_line_for_each_backend(op: Operator) -> None:
    script = "echo out; echo err >&2; case $HOME in *alpha*) exit 3;; esac"
    done = op.quix("run", "--json", "--all", "--", "sh", "-c", script)
    assert done.returncode == Exit.SOME_FAILED
    found = documents(done.stdout)
    assert set(found) == {*NAMES, "away"}
    alpha, beta, away = found["alpha"], found["beta"], found["away"]
    assert (alpha["result"], alpha["outcome"], alpha["exit_code"]) == ("failed", "exited", 3)
    assert (beta["result"], beta["exit_code"], beta["stdout"], beta["stderr"]) == ("ok", 0, "out\n", "err\n")
    assert beta["run"]
    assert 0 < beta["seconds"] < 60
    assert (away["result"], away["outcome"], away["run"]) == ("not_reached", "backend_offline", "")


def test_json_is_bounded_and_says_so(op: Operator) -> None:
    done = op.quix("run", "--json", "-b", "alpha", "--", "sh", "-c", "seq 100000; echo last")
    alpha = documents(done.stdout)["alpha"]
    assert len(alpha["stdout"]) == 2**16
    assert alpha["stdout"].endswith("\n100000\nlast\n")
    assert alpha["stdout_cut"] == len("".join(f"{number}\n" for number in range(1, 100001))) + 5 - 2**16


def test_detached_it_prints_backend_and_run(op: Operator, rest: Rest) -> None:
    cmd = ["sh", "-c", "sleep 0.01 # detached"]
    done = op.quix("run", "-d", "-l", "site=north", "--online", "--", *cmd)
    assert done.returncode == 0, done
    lines = sorted(line.split() for line in done.stdout.decode().splitlines())
    assert [name for name, _ in lines] == ["beta", "gamma-long"]
    assert {run for _, run in lines} == {run["id"] for run in runs_of(rest, cmd)}
    assert done.stderr.decode().endswith(": 2 started\n")


def test_on_a_terminal_there_is_a_bar(op: Operator) -> None:
    ours, theirs = pty.openpty()
    env = {**op.env, "TERM": "xterm", "COLUMNS": "100"}
    args = [QUIX, "run", "--all", "--online", "--parallel", "1", "--", "sh", "-c", r"printf '\033[2Jx\n'; sleep 0.3"]
    process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    text = b""
    while True:
        try:
            text += os.read(ours, 65536)
        except OSError:
            break
    os.close(ours)
    assert process.wait(20) == 0
    shown = text.decode()
    assert "1 of 3" in shown
    assert "━" in shown
    assert "\ufffd[2Jx" in shown, "a backend moves no cursor"
    assert "\x1b[36malpha     \x1b[0m | " in shown
    assert "\x1b[2J" not in shown


# -- who is meant -------------------------------------------------------------------------------


def test_those_that_are_away_are_told_and_counted(op: Operator) -> None:
    done = op.quix("run", "-l", "site=north", "--", "true")
    assert done.returncode == Exit.SOME_FAILED
    first, summary, who = done.stderr.decode().splitlines()
    assert first == "quix: 1 of 3 not connected: away"
    assert summary.endswith(": 2 ok, 1 not reached")
    assert who == "  not reached, backend_offline: away"


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["-l", "site=nowhere"], Exit.NO_BACKEND, "no backend matches"),
        (["--search", "away", "--online"], Exit.NO_BACKEND, "no backend that is connected matches"),
        (["-b", "alpha", "-b", "nobody"], Exit.NO_BACKEND, "backend_unknown"),
        (["--online"], Exit.USAGE, "add --all"),
        (["--all", "-l", "site=north"], Exit.USAGE, "--all"),
        (["-l", "north"], Exit.DATA, "no NAME=VALUE"),
    ],
)
def test_a_selection_that_means_nobody(op: Operator, args: list[str], code: int, said: str) -> None:
    done = op.quix("run", *args, "--", "true")
    assert (done.returncode, done.stdout) == (code, b"")
    assert said in done.stderr.decode()


@pytest.mark.parametrize(
    "args",
    [["-t", "--all", "true"], ["--group", "alpha", "true"], ["--parallel", "0", "--all", "true"]],
)
def test_options_that_do_not_go_together(op: Operator, args: list[str]) -> None:
    assert op.quix("run", *args).returncode == Exit.USAGE


# -- how it ends --------------------------------------------------------------------------------


def test_the_summary_says_who_failed_how(op: Operator) -> None:
    script = "case $HOME in *alpha*) exit 3;; *beta*) kill -KILL $$;; *) sleep 60;; esac"
    done = op.quix("run", "--timeout", "1s", "--all", "--", "sh", "-c", script)
    assert done.returncode == Exit.SOME_FAILED
    lines = done.stderr.decode().splitlines()
    assert lines[-5].endswith(": 0 ok, 2 failed, 1 timed out, 1 not reached")
    assert sorted(lines[-4:]) == [
        "  failed, SIGKILL: beta",
        "  failed, exit 3: alpha",
        "  not reached, backend_offline: away",
        "  timed out: gamma-long",
    ]


def test_a_program_that_there_is_not(op: Operator) -> None:
    done = op.quix("run", "-b", "alpha", "--", "no-such-program")
    assert done.returncode == Exit.SOME_FAILED
    assert "quix: alpha: command_not_found" in done.stderr.decode()


def test_no_more_are_begun_after_so_many_failures(op: Operator, rest: Rest) -> None:
    cmd = ["sh", "-c", "exit 1 # enough"]
    done = op.quix("run", "--json", "--all", "--online", "--parallel", "1", "--max-failures", "2", "--", *cmd)
    assert done.returncode == Exit.SOME_FAILED
    found = documents(done.stdout)
    assert [found[name]["result"] for name in NAMES] == ["failed", "failed", "skipped"]
    assert len(runs_of(rest, cmd)) == 2


def test_one_after_the_other_goes_by_name(op: Operator) -> None:
    done = op.quix("run", "--all", "--online", "--parallel", "1", "--", "echo", "x")
    assert [line.split()[0] for line in done.stdout.decode().splitlines()] == list(NAMES)


def test_ctrl_c_is_passed_on_and_begins_no_more(op: Operator, rest: Rest) -> None:
    script = "trap 'echo caught; exit 0' INT; echo ready; while :; do sleep 0.05; done"
    with op.running("run", "--all", "--online", "--parallel", "2", "--", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert {process.stdout.readline().split()[0] for _ in range(2)} == {b"alpha", b"beta"}
        process.send_signal(signal.SIGINT)
        assert {process.stdout.readline().split()[2] for _ in range(2)} == {b"caught"}
        assert process.wait(20) == 130
        said = process.stderr.read().decode()
    assert "SIGINT is passed on" in said
    assert ": 2 ok, 1 not begun\n" in said
    assert said.endswith("  not begun: gamma-long\n")
    assert len(runs_of(rest, ["sh", "-c", script])) == 2


def test_the_second_ctrl_c_leaves_what_runs(op: Operator, rest: Rest) -> None:
    cmd = ["sh", "-c", "trap '' INT; echo ready; exec sleep 1000"]
    with op.running("run", "-b", "alpha", "-b", "beta", "--", *cmd) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert {process.stdout.readline().split()[2] for _ in range(2)} == {b"ready"}
        process.send_signal(signal.SIGINT)
        assert b"passed on" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        said = process.stderr.read().decode()
    runs = runs_of(rest, cmd)
    assert [run["state"] for run in runs] == ["running", "running"]
    names = {backend["id"]: backend["name"] for backend in rest.backends()}
    for run in runs:
        assert f"left running: quix logs -f {names[run['backend_id']]} {run['id']}\n" in said
        assert op.quix("kill", "-s", "SIGKILL", run["backend_id"], run["id"]).returncode == 0


def test_nobody_reads_on(op: Operator) -> None:
    command = f"{QUIX} run --all --online -- seq 100000 | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], env=op.env, capture_output=True, timeout=60)
    assert done.stdout.splitlines()[-1] == b"141"
    assert b"Traceback" not in done.stderr


# -- what is lost on the way --------------------------------------------------------------------


def test_a_connection_that_is_cut_starts_nothing_twice(home: House, fleet: Server, rest: Rest) -> None:
    cmd = ["sh", "-c", "for i in $(seq 1 40); do echo $i; sleep 0.05; done # cut"]
    with Cutter(int(fleet.http.rpartition(":")[2])) as cutter:
        env = {"XDG_CONFIG_HOME": str(home.root / "cut")}
        login = ["login", f"http://127.0.0.1:{cutter.port}", "--username=op", "--password-stdin"]
        assert home.quix(*login, stdin=PASSWORD, env=env).returncode == 0
        process = subprocess.Popen(
            [QUIX, "run", "--all", "--online", "--", *cmd],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **env},
        )  # fmt: skip
        until(lambda: len(runs_of(rest, cmd)) >= 1, "it begins")
        for _ in range(3):
            enough = cutter.passed + 1000
            cutter.cut()
            until(partial(_has_passed, cutter, enough), "it goes on")
        out, err = process.communicate(timeout=60)
        assert cutter.cuts == 3
    assert process.returncode == 0, err
    assert len(runs_of(rest, cmd)) == len(NAMES)
    for name in NAMES:
        mine = [line.partition(" | ")[2] for line in out.decode().splitlines() if line.startswith(name)]
        assert mine == [str(number) for number in range(1, 41)]


def _has_passed(cutter: Cutter, count: int) -> bool:
    return cutter.passed >= count


def test_a_server_that_is_killed_and_comes_back(house: House) -> None:
    server = house.server()
    for name in ("one", "two"):
        house.agent(server.url, name=name, reconnect_max="1").wait_for("enrolled")
    op = Operator(house, server)
    script = "echo ready; for i in $(seq 1 60); do echo $i; sleep 0.05; done"
    cmd = ["sh", "-c", script]
    with op.running("run", "--all", "--parallel", "1", "--", *cmd) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"one | ready\n"
        server.kill()
        server = house.again(server)
        out = process.stdout.read().decode()
        err = process.stderr.read().decode()
        assert process.wait(20) == 0, err
    assert len(runs_of(server.rest(), cmd)) == 2
    assert [line for line in out.splitlines() if line.startswith("one")] == [f"one | {n}" for n in range(1, 61)]
    assert [line for line in out.splitlines() if line.startswith("two")][1:] == [f"two | {n}" for n in range(1, 61)]
    assert "waiting for the connection" in err
    assert "connected again" in err


# -- many of them -------------------------------------------------------------------------------


class Slow(Crowd):
    """Backends that start what they are asked to a moment later; `most` of them were asked at the same time."""

    def __init__(self, port: int, tokens: list[str]) -> None:
        self.most = 0
        self.started = 0
        self._asked: list[tuple[float, RawSocket, int]] = []
        super().__init__(port, tokens)

    def _reply(self, sock: RawSocket, message: dict[str, Any]) -> None:
        if message.get("req") == "execute":
            self._asked.append((time.monotonic() + 0.2, sock, message["rid"]))
            self.most = max(self.most, len(self._asked))

    def _idle(self) -> None:
        while self._asked and self._asked[0][0] <= time.monotonic():
            _, sock, rid = self._asked.pop(0)
            self.started += 1
            sock.send_text(json.dumps({"rid": rid, "msg": {"result": "success", "proc_id": 7}}))


def test_a_hundred_so_many_at_a_time(house: House) -> None:
    server = house.server()
    crowd = Slow(server.port, add_backends(server.data_dir / "quix.db", 110, 100))
    try:
        done = Operator(house, server).quix("run", "-d", "--json", "--all", "--parallel", "10", "--", "true")
    finally:
        crowd.close()
    results = [each["result"] for each in documents(done.stdout).values()]
    assert {result: results.count(result) for result in results} == {"started": 100, "not_reached": 10}
    assert done.returncode == Exit.SOME_FAILED
    assert crowd.started == 100
    assert 5 <= crowd.most <= 10
