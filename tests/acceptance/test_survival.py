"""What outlives what: programs the agent, the agent its server, and the fleet's memory everything."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from acceptance.house import QUIX, House, Program, Rest, Server, cmdline, is_alive, pids, until
from acceptance.raw import RawSocket
from harness.disks import small_disk


@pytest.fixture
def server(house: House) -> Server:
    return house.server()


@pytest.fixture
def rest(server: Server) -> Rest:
    return server.rest()


def supervisor_of(house: House, name: str = "m1") -> int:
    folder = str(house.root / name)
    found = [pid for pid in pids() if "quix.supervisor" in cmdline(pid) and any(folder in a for a in cmdline(pid))]
    (pid,) = [pid for pid in found if is_alive(pid)]
    return pid


def start_programs(rest: Rest, backend: str, count: int = 3) -> set[int]:
    return {rest.execute(backend, "sleep", "1000") for _ in range(count)}


def listed(rest: Rest, backend: str) -> set[int]:
    return {row["pid"] for row in rest.processes(backend)}


def parent(pid: int) -> int:
    """The parent of a process, 0 where there is no such process."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def fill(path: Path) -> None:
    """Take all the space that a disk has."""
    with path.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while stream.write(bytes(4096)):
            continue


# -- the agent ----------------------------------------------------------------------------------


def test_programs_outlive_an_agent_that_is_killed_and_obey_the_next_one(
    house: House, server: Server, rest: Rest
) -> None:
    agent = house.agent(server.url)
    backend = rest.wait_online()
    programs = start_programs(rest, backend)
    agent.kill()
    until(lambda: rest.online() == [], "the server notices", 5)
    assert all(is_alive(pid) for pid in programs)
    house.agent(server.url)
    assert rest.wait_online() == backend
    assert [found["id"] for found in rest.backends()] == [backend]
    assert listed(rest, backend) == programs
    for pid in programs:
        assert rest.signal(backend, pid, "SIGTERM").status_code == 200
    until(lambda: not any(is_alive(pid) for pid in programs), "they end")
    until(lambda: listed(rest, backend) == set(), "and are listed no more")


def test_an_agent_that_is_told_to_stop_exits_with_0_and_leaves_programs_running(
    house: House, server: Server, rest: Rest
) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        agent = house.agent(server.url)
        backend = rest.wait_online()
        (pid,) = start_programs(rest, backend, 1)
        os.kill(agent.pid, number)
        assert agent.wait() == 0
        assert is_alive(pid)
        until(lambda: rest.online() == [], "the server was told", 5)


@pytest.mark.root
def test_an_agent_that_is_the_first_process_of_a_container_leaves_no_zombies(
    house: House, server: Server, rest: Rest
) -> None:
    """So it is known how a program ended that has lost its supervisor."""
    before = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child=SIGTERM"]
    agent = house.agent(server.url, before=before)
    backend = rest.wait_online()
    script = "while [ ! -e go ]; do sleep 0.02; done; exit 7"
    started = rest.post(f"/backends/{backend}/processes", cmd=["sh", "-c", script])
    os.kill(supervisor_of(house), signal.SIGKILL)
    until(lambda: listed(rest, backend) == {started["proc_id"]}, "it is adopted")
    (house.root / "m1" / "data" / "go").touch()
    run = f"/backends/{backend}/runs/{started['run_id']}"
    until(lambda: rest.get(run)["state"] == "ended", "it ends")
    assert (rest.get(run)["outcome"], rest.get(run)["exit_code"]) == ("exited", 7)
    first = next(pid for pid in pids() if "quix.agent" in cmdline(pid) and parent(pid) == agent.pid)
    children = [pid for pid in pids() if parent(pid) == first]
    assert all(map(is_alive, children)), "none is a zombie"
    os.kill(first, signal.SIGTERM)
    assert agent.wait() == 0


@pytest.mark.root
def test_a_full_disk_keeps_an_agent_from_enrolling_and_from_nothing_else(
    house: House, server: Server, rest: Rest
) -> None:
    folder = house.root / "m1" / "agent"
    folder.mkdir(parents=True)
    filler = folder / "filler"
    with small_disk(folder, "1M", "0700"):
        (folder / "agent.lock").touch()
        fill(filler)
        agent = house.agent(server.url, reconnect_max="1", telemetry_keep="1000")
        until(lambda: agent.text.count("not enrolled: a token could not be saved") >= 2, "it tries again")
        assert rest.backends() == [], "no attempt has left one behind"
        filler.unlink()
        backend = rest.wait_online()
        house.token()
        fill(filler)
        server.terminate()
        rest = house.again(server).rest()
        assert rest.wait_online() == backend
        agent.wait_for("the token could not be saved; trying again")
        assert rest.execute(backend, "sleep", "1000")
        filler.unlink()
        agent.wait_for("the token is saved")
        assert agent.terminate() == 0


def test_a_program_that_ended_while_no_agent_was_there_is_listed_no_more(
    house: House, server: Server, rest: Rest
) -> None:
    agent = house.agent(server.url)
    backend = rest.wait_online()
    stays, goes = sorted(start_programs(rest, backend, 2))
    agent.kill()
    os.kill(goes, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{goes}").exists(), "somebody reaps it")
    house.agent(server.url)
    assert listed(rest, rest.wait_online()) == {stays}
    assert rest.signal(backend, goes, "SIGTERM").json()["reason"] == "pid_unknown"


@pytest.mark.parametrize("with_agent", [False, True])
def test_programs_outlive_their_supervisor(house: House, server: Server, rest: Rest, *, with_agent: bool) -> None:
    agent = house.agent(server.url)
    backend = rest.wait_online()
    programs = start_programs(rest, backend)
    first = supervisor_of(house)
    if with_agent:
        agent.kill()
    os.kill(first, signal.SIGKILL)
    if with_agent:
        until(lambda: rest.online() == [], "the server notices", 5)
        house.agent(server.url)
        assert rest.wait_online() == backend
    until(lambda: not is_alive(first), "it is dead")
    assert listed(rest, backend) == programs
    assert all(is_alive(pid) for pid in programs)
    assert supervisor_of(house) != first
    another = rest.execute(backend, "sleep", "1000")
    for pid in (*programs, another):
        assert rest.signal(backend, pid, "SIGTERM").status_code == 200
    until(lambda: not any(is_alive(pid) for pid in (*programs, another)), "all end")


def test_one_agent_at_a_time_uses_a_data_folder(house: House, server: Server, rest: Rest) -> None:
    first = house.agent(server.url)
    rest.wait_online()
    second = house.agent(server.url)
    assert second.wait() == 78
    assert "another quix agent" in second.text
    assert first.is_running


# -- the server ---------------------------------------------------------------------------------


def test_the_fleet_comes_back_by_itself_to_a_server_that_was_killed(house: House, server: Server, rest: Rest) -> None:
    agents = [house.agent(server.url, name=f"m{number}") for number in range(1, 4)]
    before = until(lambda: found if len(found := set(rest.online())) == 3 else None, "all are connected")
    until(lambda: {found["name"] for found in rest.backends()} == {"m1", "m2", "m3"}, "all have said their names")
    names = {found["id"]: found["name"] for found in rest.backends()}
    programs = {backend: start_programs(rest, backend, 1) for backend in before}
    server.kill()
    time.sleep(1)
    again = house.again(server)
    # Nobody had to log in again either: logins are in the store.
    until(lambda: set(rest.online()) == before, "all are back", 30)
    assert {found["id"]: found["name"] for found in rest.backends()} == names
    assert {backend: listed(rest, backend) for backend in before} == programs
    assert all(agent.is_running for agent in agents)
    assert "enrolled" not in again.text


def test_an_agent_waits_for_a_server_that_is_not_there_yet(house: House, server: Server) -> None:
    assert server.terminate() == 0
    agent = house.agent(server.url)
    agent.wait_for("server not reached")
    again = house.again(server)
    agent.wait_for("enrolled")
    assert len(again.rest().online()) == 1


def test_a_server_that_drains_sends_agents_away_with_1013_and_exits_with_0(house: House, server: Server) -> None:
    agent = house.agent(server.url)
    server.rest().wait_online()
    with RawSocket(server.port) as backend, RawSocket(server.port) as stranger:
        backend.enrol()
        assert server.terminate() == 0
        assert backend.closed()[0] == 1013
        assert stranger.closed()[0] == 1013
    agent.wait_for("connection ended")
    assert agent.is_running
    house.again(server).rest().wait_online(40)


def test_two_servers_do_not_share_a_data_folder(house: House, server: Server) -> None:
    argv = [QUIX, "server", f"--data-dir={server.data_dir}", "--listen=127.0.0.1:0", "--http=127.0.0.1:0"]
    second = house.start("second", argv)
    assert second.wait() == 78
    assert server.is_running


def test_an_agent_whose_token_another_machine_took_over_does_not_fight_for_it(
    house: House, server: Server, rest: Rest
) -> None:
    """A cloned machine: both hold one token. The two must not throw each other out at full speed."""
    agent: Program = house.agent(server.url)
    rest.wait_online()
    token = house.token()
    with RawSocket(server.port) as clone:
        clone.resume(token)
        agent.wait_for("code=4001")
        time.sleep(3)
        assert agent.text.count("resumed") <= 1
        assert agent.is_running
