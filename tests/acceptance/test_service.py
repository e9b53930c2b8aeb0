"""An agent without any privilege beside a supervisor that has it, as the systemd units start them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.house import QUIX, House, Program, Rest, Server, is_alive, until
from acceptance.machine import AGENT, Machine
from harness.manager import Manager
from quix.exits import Exit

pytestmark = pytest.mark.root

STRANGER = 60801


@pytest.fixture
def server(house: House) -> Server:
    return house.server()


@pytest.fixture
def machine(house: House, server: Server) -> Machine:
    return Machine(house, server)


@pytest.fixture
def rest(server: Server) -> Rest:
    return server.rest()


def owner(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_uid, found.st_mode & 0o7777


def test_the_agent_does_all_that_it_is_asked_for(machine: Machine, rest: Rest) -> None:
    supervisor = machine.start_supervisor()
    agent = machine.start_agent()
    backend = rest.wait_online()
    status = Path(f"/proc/{agent.pid}/status").read_text()
    assert f"Uid:\t{AGENT}\t{AGENT}\t{AGENT}\t{AGENT}" in status
    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
    pid = rest.execute(backend, "sleep", "1000")
    assert Path(f"/proc/{pid}/status").read_text().split("Uid:\t")[1].split()[0] == "60706"
    row = rest.processes(backend)[0]
    assert (row["pid"], row["title"], row["reqc"]) == (pid, "sleep", "sleep 1000")
    assert {row["pid"] for row in rest.processes(backend, verb=2)} >= {pid, os.getpid(), supervisor.pid}
    telemetry = rest.get(f"/backends/{backend}/telemetry")
    assert telemetry["ttl_mem_usage"][0] > 0
    assert rest.signal(backend, pid, "SIGTERM").status_code == 200
    until(lambda: not is_alive(pid), "the program ends")
    listens = "import socket, time; s = socket.create_server(('127.0.0.1', 0)); time.sleep(1000)"
    rest.execute(backend, "python3", "-c", listens)
    until(lambda: rest.processes(backend)[0]["port_util"], "its port is seen, though the agent may not look")
    assert agent.terminate() == 0
    assert supervisor.terminate() == 0


def test_each_has_its_own_folder(machine: Machine, rest: Rest) -> None:
    machine.start_supervisor()
    machine.start_agent()
    rest.wait_online()
    assert machine.house.token()
    folder = machine.folder
    assert owner(folder) == (0, 0o711)
    assert owner(folder / "supervisor") == (0, 0o711)
    assert owner(folder / "agent") == (AGENT, 0o700)
    assert owner(folder / "data") == (60706, 0o700)
    assert owner(folder / "agent" / "token.json") == (AGENT, 0o600)
    mine = {"socket": (AGENT, 0o600), "key": (AGENT, 0o600)}
    for path in (folder / "supervisor").iterdir():
        uid, mode = owner(path)
        assert (uid, mode) == mine.get(path.name, (0, mode)), path
        assert mode & 0o077 == 0, path


def test_what_the_agents_user_cannot_do(machine: Machine, rest: Rest) -> None:
    supervisor = machine.start_supervisor()
    machine.start_agent()
    pid = rest.execute(rest.wait_online(), "sleep", "1000")
    folder, inner = machine.folder, machine.folder / "supervisor"
    journal = next(path for path in sorted((inner / "runs").rglob("*")) if path.is_file())
    attempts = {
        f"list {path}": f"import os; os.listdir({str(path)!r})"
        for path in (folder, inner, inner / "runs", folder / "data")
    }
    for path in (journal, inner / "lock"):
        attempts[f"read {path.name}"] = f"open({str(path)!r}, 'rb').read()"
        attempts[f"write {path.name}"] = f"open({str(path)!r}, 'r+b')"
        attempts[f"remove {path.name}"] = f"import os; os.unlink({str(path)!r})"
    for name in ("socket", "key", "runs", "lock"):
        attempts[f"move {name}"] = f"import os; os.rename({str(inner / name)!r}, {str(inner / 'x')!r})"
        attempts[f"take {name}"] = f"import os; os.rename({str(inner / name)!r}, {str(folder / 'agent' / 'x')!r})"
    for path in (folder / "agent", folder / "data", inner):
        attempts[f"move {path}"] = f"import os; os.rename({str(path)!r}, {str(folder / 'x')!r})"
        attempts[f"replace {path}"] = f"import os; os.rmdir({str(path)!r}); os.symlink('/etc', {str(path)!r})"
    attempts["link"] = f"import os; os.symlink('/etc', {str(inner / 'key.new')!r})"
    attempts["signal a program"] = f"import os; os.kill({pid}, 0)"
    attempts["signal the supervisor"] = f"import os; os.kill({supervisor.pid}, 0)"
    attempts["memory of the supervisor"] = f"open('/proc/{supervisor.pid}/mem', 'rb')"
    attempts["files of a program"] = f"import os; os.listdir('/proc/{pid}/fd')"
    found = machine.attempts(attempts)
    assert set(found.values()) <= {"PermissionError", "OSError"}, found
    assert is_alive(pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_links_in_the_agents_folder_lead_root_nowhere(
    machine: Machine, rest: Rest, number: signal.Signals, tmp_path: Path
) -> None:
    supervisor = machine.start_supervisor()
    agent = machine.start_agent()
    rest.wait_online()
    target, victim = tmp_path / "target", tmp_path / "victim"
    target.mkdir(mode=0o755)
    victim.write_text("of root's")
    before = owner(target), owner(victim)
    inside = machine.folder / "agent"
    agent.kill()
    links = dict.fromkeys(("runs", "vpn", "supervisor", "data", "agent"), target)
    links |= dict.fromkeys(("socket", "key", "key.new", "lock", "log", "supervisor.key", "supervisor.sock"), victim)
    attempts = {name: f"import os; os.symlink({str(to)!r}, {str(inside / name)!r})" for name, to in links.items()}
    attempts["open"] = f"import os; os.chmod({str(inside)!r}, 0o777)"
    assert set(machine.attempts(attempts).values()) == {"done"}
    supervisor.process.send_signal(number)
    supervisor.wait()
    machine.start_supervisor()
    assert (owner(target), owner(victim)) == before
    assert (list(target.iterdir()), victim.read_text()) == ([], "of root's")
    assert all((inside / name).is_symlink() for name in links), "root has not touched them either"
    assert owner(inside) == (AGENT, 0o700)


def test_another_user_is_refused_whatever_the_agents_user_gives_away(machine: Machine, house: House) -> None:
    supervisor = machine.start_supervisor()
    inner = machine.folder / "supervisor"
    script = f"""
import json, socket
s = socket.socket(socket.AF_UNIX)
s.connect({str(inner / "socket")!r})
hello = {{"type": "hello", "key": open({str(inner / "key")!r}).read(), "identity": ""}}
s.sendall(json.dumps({{"id": 1, "ask": hello}}).encode() + b"\\n")
if b"answer" not in s.recv(9999):
    raise ConnectionError
"""
    assert machine.attempts({"call": script}, STRANGER) == {"call": "PermissionError"}
    given = {
        name: f"import os; os.chmod({str(inner / name)!r}, 0o{mode})" for name, mode in (("socket", 666), ("key", 644))
    }
    assert machine.attempts(given) == {"socket": "done", "key": "done"}
    assert machine.attempts({"call": script}, STRANGER)["call"] in (
        "ConnectionError",
        "ConnectionResetError",
        "BrokenPipeError",
    )
    assert f'"uid":{STRANGER}' in supervisor.text
    assert machine.attempts({"call": script}) == {"call": "done"}
    retire = (
        script
        + """
s.sendall(b'{"id": 2, "ask": {"type": "retire"}}\\n')
if b"permission_denied" not in s.recv(9999):
    raise ConnectionError
"""
    )
    assert machine.attempts({"retire": retire}) == {"retire": "done"}
    assert supervisor.is_running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_supervisor_is_restarted_and_the_agent_stays(machine: Machine, rest: Rest, number: signal.Signals) -> None:
    supervisor = machine.start_supervisor()
    agent = machine.start_agent()
    backend = rest.wait_online()
    pid = rest.execute(backend, "sleep", "1000")
    supervisor.process.send_signal(number)
    supervisor.wait()
    answer = rest.call("GET", f"/backends/{backend}/processes?verb=1")
    assert (answer.status_code, answer.json()["reason"]) == (422, "unavailable"), answer.text
    assert is_alive(pid)
    machine.start_supervisor()
    until(lambda: [row["pid"] for row in rest.processes(backend)] == [pid], "the program is adopted")
    assert rest.signal(backend, pid, "SIGKILL").status_code == 200
    until(lambda: not is_alive(pid), "the program ends")
    assert agent.is_running
    assert not any("quix.supervisor" in line for line in _children(agent.pid)), "it started none of its own"


def _children(pid: int) -> list[str]:
    return subprocess.run(["ps", "-o", "args=", f"--ppid={pid}"], capture_output=True, text=True).stdout.splitlines()


def test_programs_go_on_while_the_agent_is_restarted_and_while_both_are_killed(machine: Machine, rest: Rest) -> None:
    supervisor = machine.start_supervisor()
    agent = machine.start_agent()
    backend = rest.wait_online()
    pid = rest.execute(backend, "sleep", "1000")
    for end in (Program.terminate, Program.kill):
        end(agent)
        until(lambda: not rest.online(), "the server knows")
        agent = machine.start_agent()
        assert rest.wait_online() == backend
        assert [row["pid"] for row in rest.processes(backend)] == [pid]
    agent.kill()
    supervisor.kill()
    until(lambda: not rest.online(), "the server knows")
    agent = machine.start_agent()  # which has to wait
    assert rest.wait_online() == backend
    until(lambda: "waiting for the supervisor" in agent.text, "the agent says so")
    assert is_alive(pid)
    machine.start_supervisor()
    until(lambda: [row["pid"] for row in rest.processes(backend)] == [pid], "the program is adopted")


def test_without_a_service_an_agent_that_is_not_root_has_a_supervisor_of_its_own(machine: Machine, rest: Rest) -> None:
    machine.folder.mkdir(mode=0o700)
    os.chown(machine.folder, AGENT, AGENT)
    agent = machine.start_agent()
    backend = rest.wait_online()
    pid = rest.execute(backend, "sleep", "1000")
    assert f"Uid:\t{AGENT}\t" in Path(f"/proc/{pid}/status").read_text()
    assert owner(machine.folder / "supervisor") == owner(machine.folder / "agent") == (AGENT, 0o700)
    said = agent.events("what the sandbox does not hold")[0]["not_held"]
    assert any("account of their own" in sentence for sentence in said)
    assert rest.signal(backend, pid, "SIGKILL").status_code == 200


def test_a_supervisor_of_another_build_is_used_and_said_to_be_old(machine: Machine, rest: Rest) -> None:
    old = "import sys, quix; quix.__version__ = '0.0.1'; from quix.supervisor.__main__ import main; sys.exit(main())"
    argv = [sys.executable, "-c", old, f"--data-dir={machine.folder}", f"--agent-user={AGENT}", "--service"]
    supervisor = machine.house.start("supervisor", argv)
    supervisor.wait_for('"event":"ready"')
    agent = machine.start_agent()
    backend = rest.wait_online()
    rest.execute(backend, "sleep", "1000")
    said = agent.events("the supervisor is of another version")[0]
    assert said["supervisor"] == "0.0.1"
    assert said["remedy"] == "restart quix-supervisor.service to upgrade it"
    assert supervisor.is_running


def test_an_agent_that_the_supervisor_was_not_told_of_says_so(machine: Machine) -> None:
    machine.start_supervisor().terminate()
    os.chown(machine.folder / "agent", 0, 0)
    agent = machine.start_agent()
    assert agent.wait() == Exit.CONFIG
    assert f"quix supervisor --agent-user={AGENT}" in agent.text


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--agent-user=no-such-user"], "agent_user: this machine has no user"),
        (["--agent-user=root"], "agent_user: is root"),
        (["--agent-user=0"], "agent_user: is root"),
        (["--agent-user=4294967295"], "agent_user: 4294967295 is no uid"),
        ([f"--agent-user={AGENT}", f"--program-user={AGENT}:{AGENT}"], "is the user of programs too"),
        (["--sandbox=nonsense"], "sandbox"),
    ],
)
def test_settings_that_cannot_be_used(house: House, args: list[str], message: str) -> None:
    done = house.quix("supervisor", f"--data-dir={house.root / 'm1'}", *args)
    assert done.returncode == Exit.CONFIG
    assert message in done.stderr


def test_only_root_serves_another_user(house: House) -> None:
    argv = [QUIX, "supervisor", f"--data-dir={house.root / 'm1'}", f"--agent-user={STRANGER}"]
    supervisor = house.start("supervisor", argv, uid=AGENT)
    assert supervisor.wait() == Exit.CONFIG
    assert "agent_user: only root" in supervisor.text


def test_one_supervisor_a_folder(machine: Machine, house: House) -> None:
    machine.start_supervisor()
    done = house.quix("supervisor", f"--data-dir={machine.folder}", f"--agent-user={AGENT}")
    assert done.returncode == Exit.UNAVAILABLE
    assert "another supervisor serves this data folder" in done.stderr


@pytest.fixture
def manager(machine: Machine) -> Iterator[Manager]:
    with Manager(machine.house.root) as manager:
        machine.env["NOTIFY_SOCKET"] = manager.address
        yield manager


def test_the_service_manager_hears_of_both(machine: Machine, manager: Manager, server: Server) -> None:
    supervisor = machine.start_supervisor()
    manager.expect("READY=1")
    supervisor.terminate()
    manager.expect("STOPPING=1")
    machine.start_supervisor()
    agent = machine.start_agent()
    manager.expect(f"STATUS=connected to {server.url}")
    server.terminate()
    manager.expect(f"STATUS=not connected to {server.url}")
    agent.terminate()


def test_the_service_manager_hears_of_the_agent_alone(machine: Machine, manager: Manager, server: Server) -> None:
    notify, machine.env["NOTIFY_SOCKET"] = machine.env["NOTIFY_SOCKET"], ""
    machine.start_supervisor()
    machine.env["NOTIFY_SOCKET"] = notify
    agent = machine.start_agent()
    manager.expect("READY=1")
    agent.terminate()
    manager.expect("STOPPING=1")
