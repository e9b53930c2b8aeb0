"""Programs on a real agent, and what is said of them held against /proc."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from acceptance.house import House, Rest, is_alive, pids, until


@pytest.fixture
def data(common: House, machine: str) -> Path:
    """The programs' folder of the shared agent."""
    return common.root / "machine" / "data"


@pytest.fixture(autouse=True)
def _no_program_is_left(request: pytest.FixtureRequest, rest: Rest, machine: str) -> Iterator[None]:
    yield
    for row in rest.processes(machine):
        rest.signal(machine, row["pid"], "SIGKILL")


def status(pid: int, field: str) -> str:
    text = Path(f"/proc/{pid}/status").read_text()
    return next(line for line in text.splitlines() if line.startswith(field)).partition(":")[2].strip()


def row_of(rest: Rest, machine: str, pid: int, verb: int = 1) -> dict[str, Any]:
    (row,) = [row for row in rest.processes(machine, verb) if row["pid"] == pid]
    return row


def refusal(rest: Rest, machine: str, *cmd: str) -> str:
    answer = rest.call("POST", f"/backends/{machine}/processes", cmd=list(cmd))
    assert answer.status_code == 422, answer.text
    reason: str = answer.json()["reason"]
    return reason


# -- execute ------------------------------------------------------------------------------------


def test_proc_id_is_the_pid_of_the_program_itself(rest: Rest, machine: str, data: Path) -> None:
    pid = rest.execute(machine, "sleep", "1000")
    assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x001000\x00"
    assert Path(f"/proc/{pid}/cwd").readlink() == data


def test_no_shell_reads_the_command(rest: Rest, machine: str, data: Path) -> None:
    odd = ["$HOME; `id`", "a b", "", "*", "\u00e9\U0001f600", "-n", "line\nbreak", "'\""]
    pid = rest.execute(machine, "python3", "-c", "import sys,json; json.dump(sys.argv[1:], open('argv', 'w'))", *odd)
    until(lambda: not is_alive(pid), "the program has ended")
    assert (data / "argv").read_text() == json.dumps(odd)


def test_programs_have_a_uid_of_their_own_and_a_clean_environment(rest: Rest, machine: str, data: Path) -> None:
    pid = rest.execute(machine, "sleep", "1000")
    assert status(pid, "Uid").split() != ["0"] * 4
    assert status(pid, "NoNewPrivs") == "1"
    environment = dict(
        entry.partition("=")[::2] for entry in Path(f"/proc/{pid}/environ").read_text().split("\0") if entry
    )
    assert environment["PATH"] == "/usr/local/bin:/usr/bin:/bin"
    assert environment["HOME"] == str(data)
    assert not any(name.startswith("QUIX_") and name not in ("QUIX_RUN_ID", "QUIX_RUN_MARK") for name in environment)
    assert {fd.name for fd in Path(f"/proc/{pid}/fd").iterdir()} == {"0", "1", "2"}


@pytest.mark.parametrize(
    "what",
    ["cat /etc/shadow", "ls /root", "ls {root}/agent", "cat {root}/agent/token.json", "touch /tmp/x", "kill -0 {agent}",
     "cat /proc/{agent}/environ", "touch {root}/x"],
)  # fmt: skip
def test_programs_reach_nothing_outside_the_data_folder(rest: Rest, machine: str, data: Path, what: str) -> None:
    result = data / "result"
    result.unlink(missing_ok=True)
    what = what.format(root=data.parent, agent=os.getpid())
    pid = rest.execute(machine, "sh", "-c", f"{what}; echo $? > result")
    until(lambda: not is_alive(pid), "the program has ended")
    assert result.read_text().strip() not in ("", "0")


@pytest.mark.parametrize(
    ("cmd", "reason"),
    [(["no-such-program"], "command_not_found"), (["/no/such/program"], "command_not_found"),
     (["./no-such-program"], "command_not_found"), (["/etc/hostname"], "permission_denied"),
     (["/usr"], "permission_denied"), (["true", "x" * 200_000], "spawn_failed")],
)  # fmt: skip
def test_what_cannot_be_started_is_refused_with_its_reason(
    rest: Rest, machine: str, cmd: list[str], reason: str
) -> None:
    assert refusal(rest, machine, *cmd) == reason


def test_a_file_that_may_not_be_executed_is_permission_denied(rest: Rest, machine: str, data: Path) -> None:
    (data / "script").write_text("#!/bin/sh\n")
    (data / "script").chmod(0o644)
    assert refusal(rest, machine, "./script") == "permission_denied"
    (data / "script").chmod(0o755)
    assert rest.execute(machine, "./script") > 0


def test_a_command_with_a_null_character_is_refused_and_does_no_harm(rest: Rest, machine: str) -> None:
    answer = rest.call("POST", f"/backends/{machine}/processes", cmd=["true", "a\0b"])
    assert answer.status_code in (400, 422), answer.text
    assert rest.execute(machine, "true") > 0


@pytest.mark.parametrize("cmd", [[], "ls", [1], None, [""]])
def test_a_command_is_a_list_of_strings_that_is_not_empty(rest: Rest, machine: str, cmd: Any) -> None:
    answer = rest.call("POST", f"/backends/{machine}/processes", cmd=cmd)
    assert answer.status_code in (400, 422)
    assert answer.json()["reason"] == "request_invalid"


def test_many_programs_are_started_at_once(rest: Rest, machine: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        started = [*pool.map(lambda _: rest.execute(machine, "sleep", "1000"), range(40))]
    assert len(set(started)) == 40
    assert {row["pid"] for row in rest.processes(machine)} == set(started)


def test_programs_that_ended_are_neither_listed_nor_left_as_zombies(rest: Rest, machine: str) -> None:
    ended = [rest.execute(machine, "true") for _ in range(10)]
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in ended), "they are reaped")
    assert rest.processes(machine) == []


# -- view_running -------------------------------------------------------------------------------


def test_reqc_is_the_command_as_it_was_given(rest: Rest, machine: str) -> None:
    cmd = ["sh", "-c", "sleep 1000 & wait", "a b", "it's"]
    row = row_of(rest, machine, rest.execute(machine, *cmd))
    assert shlex.split(row["reqc"]) == cmd
    assert row["reqc"] == shlex.join(cmd)


def test_the_title_is_what_the_process_calls_itself(rest: Rest, machine: str) -> None:
    code = "import ctypes,time; ctypes.CDLL(None).prctl(15, b'quix-title'); time.sleep(1000)"  # PR_SET_NAME
    pid = rest.execute(machine, "python3", "-c", code)
    until(lambda: row_of(rest, machine, pid)["title"] == "quix-title", "the title is that of the process")


def test_memory_and_cpu_are_those_of_the_program_with_its_descendants(rest: Rest, machine: str) -> None:
    child = "b=bytearray(100*10**6)\nwhile 1: pass"
    code = f"import subprocess,sys; a=bytearray(50*10**6); subprocess.run([sys.executable,'-c',{child!r}])"
    pid = rest.execute(machine, "python3", "-c", code)
    until(lambda: row_of(rest, machine, pid)["mem_util"] > 150, "both have their memory")
    tree = [pid, *(other for other in pids() if _parent(other) == pid)]

    def agreed() -> dict[str, Any] | None:
        row_of(rest, machine, pid)
        ticks, began = sum(map(_ticks, tree)), time.monotonic()
        time.sleep(1.5)
        row = row_of(rest, machine, pid)
        share = 100 * (sum(map(_ticks, tree)) - ticks) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - began)
        return row if abs(row["cpu_util"] - share) < 20 else None

    row = until(agreed, "its share of a processor is what the kernel says")  # they look a moment apart
    resident = sum(int(status(member, "VmRSS").split()[0]) * 1024 for member in tree) / 10**6
    assert type(row["mem_util"]) is int
    assert abs(row["mem_util"] - resident) < 5
    assert row["cpu_util"] > 1  # a busy loop takes what this machine has left


def _ticks(pid: int) -> int:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return int(user) + int(system)


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1


def test_ports_are_those_that_the_tree_listens_on(rest: Rest, machine: str, data: Path) -> None:
    code = (
        "import socket,os,time\n"
        "tcp=socket.create_server(('127.0.0.1',0)); six=socket.create_server(('::1',0),family=socket.AF_INET6)\n"
        "udp=socket.socket(type=socket.SOCK_DGRAM); udp.bind(('127.0.0.1',0))\n"
        "far=socket.create_connection(tcp.getsockname())\n"
        "open('ports.new','w').write(' '.join(str(s.getsockname()[1]) for s in (tcp,six,udp)))\n"
        "os.rename('ports.new','ports')\n"
        "if os.fork(): tcp.close(); six.close()\n"
        "time.sleep(1000)"
    )
    (data / "ports").unlink(missing_ok=True)
    pid = rest.execute(machine, "python3", "-c", code)
    until((data / "ports").exists, "the ports are open")
    expected = sorted({int(port) for port in (data / "ports").read_text().split()})
    assert row_of(rest, machine, pid)["port_util"] == expected


def test_verb_1_lists_only_what_quix_started(rest: Rest, machine: str) -> None:
    pid = rest.execute(machine, "sh", "-c", "sleep 1000 & wait")
    until(lambda: any(_parent(other) == pid for other in pids()), "it has a child")
    assert [row["pid"] for row in rest.processes(machine)] == [pid]
    assert [row["pid"] for row in rest.get(f"/backends/{machine}/processes")["items"]] == [pid]


def test_verb_2_lists_every_process(rest: Rest, machine: str) -> None:
    before = set(pids())
    rows = rest.processes(machine, 2)
    throughout = {pid for pid in before & set(pids()) if is_alive(pid)}
    listed = [row["pid"] for row in rows]
    assert len(set(listed)) == len(listed)
    assert throughout <= set(listed)
    own = next(row for row in rows if row["pid"] == os.getpid())
    assert "python" in own["reqc"]
    assert abs(own["mem_util"] - int(status(os.getpid(), "VmRSS").split()[0]) * 1024 / 10**6) < 10


def test_verb_2_knows_the_ports_of_others(rest: Rest, machine: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        row = row_of(rest, machine, os.getpid(), verb=2)
        assert listening.getsockname()[1] in row["port_util"]


def test_processes_with_names_that_are_no_utf8_are_listed(rest: Rest, machine: str, tmp_path: Path) -> None:
    """A name is bytes to the kernel, and JSON has none: something readable must come of it, not a failure."""
    odd = os.fsencode(tmp_path) + b"/\xff\xfe-name"
    Path(os.fsdecode(odd)).symlink_to("/bin/sleep")
    with subprocess.Popen([odd, b"1000"]) as process, subprocess.Popen([b"sh", b"-c", b"sleep 9", b"\xc3("]) as other:
        try:
            listed = {row["pid"]: row for row in rest.processes(machine, 2)}
            assert listed[process.pid]["title"]
            assert listed[other.pid]["reqc"]
        finally:
            process.kill()
            other.kill()


# -- proc_signal --------------------------------------------------------------------------------

TREE = "setsid sleep 1001 & (sleep 1002 & exec sleep 1003) & sh -c 'sleep 1004; true' & echo > ready; wait"


def tree_of(rest: Rest, machine: str, data: Path) -> tuple[int, set[int]]:
    """Start a program with children, grandchildren and one that left its session; return its pid and all pids."""
    before = set(pids())
    pid = rest.execute(machine, "sh", "-c", TREE)

    def whole() -> set[int] | None:
        found = {other for other in set(pids()) - before if is_of(other, data)}
        return found if len(found) >= 6 else None

    return pid, until(whole, "all of the tree runs")


def is_of(pid: int, data: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == data
    except OSError:
        return False


@pytest.mark.parametrize("mode", ["SIGTERM", "SIGKILL"])
def test_a_signal_reaches_the_whole_tree(rest: Rest, machine: str, data: Path, mode: str) -> None:
    pid, tree = tree_of(rest, machine, data)
    assert pid in tree
    answer = rest.signal(machine, pid, mode)
    assert (answer.status_code, answer.json()) == (200, {"result": "success"})
    until(lambda: not any(is_alive(member) for member in tree), "nothing of the tree is left", 5)
    assert rest.processes(machine) == []


def test_sighup_reaches_the_program_alone(rest: Rest, machine: str, data: Path) -> None:
    (data / "hup").unlink(missing_ok=True)
    pid = rest.execute(machine, "sh", "-c", "trap 'echo hup > hup' HUP; sleep 1000 & echo > up; while :; do wait; done")
    until(lambda: (data / "up").exists() and any(_parent(other) == pid for other in pids()), "the child runs")
    time.sleep(0.2)
    assert rest.signal(machine, pid, "SIGHUP").status_code == 200
    until((data / "hup").exists, "the program had its signal")
    assert is_alive(pid)
    (child,) = [other for other in pids() if _parent(other) == pid]
    assert is_alive(child)


def test_a_program_may_refuse_sigterm_and_not_sigkill(rest: Rest, machine: str, data: Path) -> None:
    (data / "up").unlink(missing_ok=True)
    code = "import signal,time; signal.signal(15, signal.SIG_IGN); open('up','w'); time.sleep(1000)"
    pid = rest.execute(machine, "python3", "-c", code)
    until((data / "up").exists, "it ignores SIGTERM")
    assert rest.signal(machine, pid, "SIGTERM").status_code == 200
    time.sleep(0.3)
    assert is_alive(pid)
    assert rest.signal(machine, pid, "SIGKILL").status_code == 200
    until(lambda: not is_alive(pid), "it is dead")


def test_only_programs_that_quix_started_are_signalled(rest: Rest, machine: str) -> None:
    with subprocess.Popen(["sleep", "1000"]) as foreign:
        program = rest.execute(machine, "sh", "-c", "sleep 1000 & wait")
        child = until(lambda: next((other for other in pids() if _parent(other) == program), None), "a child")
        ended = rest.execute(machine, "true")
        until(lambda: not Path(f"/proc/{ended}").exists(), "it has ended")
        try:
            for pid in (foreign.pid, child, ended, os.getpid(), 1, 2**31 - 1):
                answer = rest.signal(machine, pid, "SIGKILL")
                assert (answer.status_code, answer.json()["reason"]) == (422, "pid_unknown"), pid
            assert foreign.poll() is None
            assert is_alive(child)
        finally:
            foreign.kill()


@pytest.mark.parametrize("mode", ["SIGRTMIN", "SIGCHLD", "sigterm", "15", "KILL"])
def test_other_modes_are_invalid(rest: Rest, machine: str, mode: str) -> None:
    pid = rest.execute(machine, "sleep", "1000")
    answer = rest.signal(machine, pid, mode)
    assert (answer.status_code, answer.json()["reason"]) == (422, "mode_invalid")
    assert is_alive(pid)
