"""What the owner of a machine forbids is refused by a real agent, whoever asks."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from acceptance.house import House, Program, Rest, Server, until
from harness.server import PASSWORD, free_port
from harness.supervisor import PYTHON

KINDS = ["telemetry", "execute", "signal", "vpn", "list"]


@pytest.fixture
def server(house: House) -> Server:
    return house.server()


@pytest.fixture
def rest(server: Server) -> Rest:
    return server.rest()


def write(house: House, text: str, mode: int = 0o600) -> Path:
    """Put a policy in the place that `--policy` names in these tests."""
    new, file = house.root / "owner" / "policy.new", house.root / "owner" / "policy.toml"
    new.parent.mkdir(mode=0o700, exist_ok=True)
    new.write_text(text)
    new.chmod(mode)
    new.replace(file)
    return file


def denied(rest: Rest, backend: str) -> set[str]:
    """The kinds of requests that the backend refuses for its owner's sake; the others it answers."""
    asked = {
        "telemetry": rest.call("GET", f"/backends/{backend}/telemetry"),
        "execute": rest.call("POST", f"/backends/{backend}/processes", cmd=["true"]),
        "signal": rest.call("POST", f"/backends/{backend}/processes/{os.getpid()}/signal", mode="SIGHUP"),
        "list": rest.call("GET", f"/backends/{backend}/processes"),
    }
    reasons = {kind: answer.json().get("reason") for kind, answer in asked.items()}
    assert set(reasons.values()) <= {None, "policy_denied", "pid_unknown"}
    return {kind for kind, reason in reasons.items() if reason == "policy_denied"}


def shown(rest: Rest, backend: str) -> Any:
    return until(lambda: rest.get(f"/backends/{backend}")["facts"], "the facts are there").get("policy")


def ended(agent: Program) -> str:
    """The one line with which an agent that cannot use its policy ends."""
    assert agent.wait() == 78
    (line,) = agent.text.splitlines()
    return line


def test_without_a_policy_everything_is_answered(house: House, server: Server, rest: Rest) -> None:
    house.agent(server.url)
    backend = rest.wait_online()
    assert denied(rest, backend) == set()
    assert shown(rest, backend) == {"allow": KINDS}


def test_telemetry_only_is_one_flag(house: House, server: Server, rest: Rest) -> None:
    house.agent(server.url, "--allow=telemetry", "--vpn=wireguard").wait_for("this machine does not allow vpn")
    backend = rest.wait_online()
    assert denied(rest, backend) == {"execute", "signal", "list"}
    assert shown(rest, backend) == {"allow": ["telemetry"]}
    assert rest.call("POST", f"/backends/{backend}/vpn/up").json()["reason"] == "policy_denied"
    assert list((house.root / "m1" / "agent").glob("vpn/*")) == []


def test_what_is_forbidden_is_one_line_at_the_command_line(house: House, server: Server, rest: Rest) -> None:
    house.agent(server.url, "--allow=execute,list")
    rest.wait_online()
    login = house.quix("login", server.http, "--username=op", "--password-stdin", stdin=PASSWORD + "\n")
    assert login.returncode == 0, login.stderr
    done = house.quix("telemetry", "m1")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "the owner of this machine does not allow telemetry" in line


def test_the_server_is_shown_the_policy(house: House, server: Server, rest: Rest) -> None:
    file = write(
        house,
        """
        allow = ["list", "execute", "telemetry"]
        commands = ["uptime", "/usr/local/bin/backup.sh --target=* ..."]
        max_programs = 16
        [limits]
        memory = "512M"
        time = "1h"
        """,
    )
    house.agent(server.url, f"--policy={file}", "--allow=execute,list,vpn")
    backend = rest.wait_online()
    expected = {
        "allow": ["execute", "list"],
        "commands": ["uptime", "/usr/local/bin/backup.sh --target=* ..."],
        "limits": {"memory": 2**29, "time": 3600.0},
        "max_programs": 16,
        "environment": False,
    }
    assert shown(rest, backend) == expected
    house.quix("login", server.http, "--username=op", "--password-stdin", stdin=PASSWORD + "\n")
    listed = house.quix("ls", "--json")
    (row,) = json.loads(listed.stdout)
    assert row["facts"]["policy"] == expected


def test_a_change_counts_at_once_and_a_broken_file_refuses_everything(house: House, server: Server, rest: Rest) -> None:
    file = write(house, "allow = ['telemetry', 'list']")
    agent = house.agent(server.url, f"--policy={file}", log_format="json")
    backend = rest.wait_online()
    assert denied(rest, backend) == {"execute", "signal"}
    write(house, "allow = ['execute']")
    assert denied(rest, backend) == {"telemetry", "signal", "list"}
    write(house, "allow = ['exceute']")
    assert denied(rest, backend) == {"telemetry", "execute", "signal", "list"}
    answer = rest.call("GET", f"/backends/{backend}/telemetry").json()
    assert "until its owner mends it" in answer["detail"]
    (error,) = [line for line in map(json.loads, agent.text.splitlines()) if line["level"] == "error"]
    assert f"{file}: allow[0]: " in error["event"]
    write(house, "allow = ['telemetry', 'list']")
    assert denied(rest, backend) == {"execute", "signal"}
    file.unlink()
    assert denied(rest, backend) == {"telemetry", "execute", "signal", "list"}
    assert agent.is_running


def test_the_new_policy_is_shown_with_the_next_connection(house: House, server: Server, rest: Rest) -> None:
    file = write(house, "allow = ['telemetry']")
    house.agent(server.url, f"--policy={file}", reconnect_max="0.5")
    backend = rest.wait_online()
    assert shown(rest, backend) == {"allow": ["telemetry"]}
    write(house, "allow = ['list']")
    server.terminate()
    again = house.again(server).rest()
    until(lambda: again.online() == [backend], "the agent is back")
    until(lambda: shown(again, backend) == {"allow": ["list"]}, "the new policy is shown")


def test_the_file_in_the_data_folder_counts(house: House, server: Server, rest: Rest) -> None:
    folder = house.root / "m1"
    folder.mkdir(mode=0o711)
    (folder / "policy.toml").write_text("allow = ['list']")
    (folder / "policy.toml").chmod(0o600)
    house.agent(server.url)
    assert denied(rest, rest.wait_online()) == {"telemetry", "execute", "signal"}


def test_no_program_gets_at_the_file_in_the_data_folder(house: House, server: Server, rest: Rest) -> None:
    house.agent(server.url)
    backend = rest.wait_online()
    policy = house.root / "m1" / "policy.toml"
    script = f"echo 'allow = []' > {policy}; mv {house.root}/m1 {house.root}/m2; echo $? > done"
    rest.execute(backend, "sh", "-c", script)
    until((house.root / "m1" / "data" / "done").exists, "the program has tried")
    assert (house.root / "m1" / "data" / "done").read_text() != "0\n"
    assert not policy.exists()


# -- what stops an agent -------------------------------------------------------------------------


def test_a_file_that_others_can_write_stops_the_agent(house: House) -> None:
    file = write(house, "allow = []", 0o666)
    agent = house.agent("ws://127.0.0.1:1/wsi", f"--policy={file}")
    assert ended(agent) == f"quix: policy: {file}: others can change it; run: chmod go-w {file}"
    file.chmod(0o600)
    file.parent.chmod(0o777)
    agent = house.agent("ws://127.0.0.1:1/wsi", f"--policy={file}")
    assert ended(agent) == f"quix: policy: {file}: others can change its folder; run: chmod go-w {file.parent}"


@pytest.mark.root
def test_so_does_a_file_of_another_user(house: House) -> None:
    file = write(house, "allow = []")
    os.chown(file, 65534, 65534)
    agent = house.agent("ws://127.0.0.1:1/wsi", f"--policy={file}")
    assert ended(agent) == f"quix: policy: {file}: it belongs to uid 65534; run: chown 0 {file}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alow = ['telemetry']", "unknown field `alow`"),
        ("allow = ['telemetry'", "policy.toml: "),
        ("limits.memory = 'much'", "limits.memory: must be"),
        ("", "it is empty"),
    ],
)
def test_so_does_a_file_that_says_no_policy(house: House, text: str, message: str) -> None:
    file = write(house, text)
    line = ended(house.agent("ws://127.0.0.1:1/wsi", f"--policy={file}"))
    assert line.startswith(f"quix: policy: {file}: ")
    assert message in line


def test_so_do_a_file_that_is_not_there_and_a_kind_that_does_not_exist(house: House) -> None:
    assert "no such file" in ended(house.agent("ws://127.0.0.1:1/wsi", f"--policy={house.root}/none.toml"))
    assert ended(house.agent("ws://127.0.0.1:1/wsi", "--allow=telemetry,all")).startswith("quix: allow[1]: ")


# -- commands, options and limits, which the supervisor holds to --------------------------------


def start(rest: Rest, backend: str, *cmd: str, **options: Any) -> tuple[int, str]:
    """Ask for a program; return the status and the reason of a refusal, or an empty one."""
    answer = rest.call("POST", f"/backends/{backend}/processes", cmd=list(cmd), **options)
    return answer.status_code, answer.json().get("reason", "")


def test_only_listed_commands_are_executed(house: House, server: Server, rest: Rest) -> None:
    file = write(house, 'commands = ["uptime", "echo hello *", "sleep ..."]\n')
    house.agent(server.url, f"--policy={file}")
    backend = rest.wait_online()
    for cmd in (["uptime"], ["uptime", "-p"], ["echo", "hello", "you"], ["sleep", "0"]):
        assert start(rest, backend, *cmd) == (201, ""), cmd
    for cmd in (["sh", "-c", "uptime"], ["./uptime"], ["echo", "bye", "you"], ["echo", "hello"], ["/bin/sleep", "0"]):
        assert start(rest, backend, *cmd) == (422, "policy_denied"), cmd
    # Variables could make another program of one that is on the list.
    assert start(rest, backend, "uptime", env={"LD_PRELOAD": "x"}) == (422, "policy_denied")


def test_limits_are_the_highest_and_hold_for_who_asks_for_none(house: House, server: Server, rest: Rest) -> None:
    file = write(house, 'max_programs = 2\n[limits]\ntime = "4s"\nmemory = "64M"\n')
    house.agent(server.url, f"--policy={file}")
    backend = rest.wait_online()
    assert start(rest, backend, "true", limits={"memory": 2**30}) == (422, "policy_denied")
    assert start(rest, backend, "true", limits={"memory": 2**25}) == (201, "")
    until(lambda: rest.processes(backend) == [], "it ends")
    assert [start(rest, backend, "sleep", "60") for _ in range(3)] == [(201, ""), (201, ""), (422, "limit_reached")]
    path = f"/backends/{backend}/runs"
    outcomes = until(
        lambda: found if None not in (found := [run["outcome"] for run in rest.get(path)["items"]]) else None,
        "the owner's limit ends them",
    )
    assert outcomes == ["policy_denied", "exited", "timeout", "timeout", "limit_reached"]


def test_a_run_that_is_to_start_again_needs_the_owners_leave_again(house: House, server: Server, rest: Rest) -> None:
    file = write(house, "")
    file.write_text("max_programs = 9\n")
    house.agent(server.url, f"--policy={file}")
    backend = rest.wait_online()
    assert start(rest, backend, "false", restart="always") == (201, "")
    path = f"/backends/{backend}/runs"
    until(lambda: rest.get(path)["items"][0]["restarts"] >= 1, "it starts again")
    write(house, 'commands = ["true"]\n')
    run = until(lambda: found if (found := rest.get(path)["items"][0])["state"] == "ended" else None, "it is over", 30)
    assert run["outcome"] == "not_started"
    assert "not among the commands" in run["detail"]


def test_input_and_output_belong_to_execute(house: House, server: Server, rest: Rest) -> None:
    file = write(house, "max_programs = 9\n")
    house.agent(server.url, f"--policy={file}")
    backend = rest.wait_online()
    run = rest.post(f"/backends/{backend}/processes", cmd=["cat"], stdin="pipe")["run_id"]
    write(house, 'allow = ["signal", "list"]\n')
    path = f"/backends/{backend}/runs/{run}"
    answers = [
        rest.call("GET", f"{path}/output"),
        rest.call("POST", f"{path}/input", offset=0, data="eA==", end=True),
        rest.call("POST", f"{path}/terminal", rows=1, columns=1),
    ]
    assert [answer.json()["reason"] for answer in answers] == ["policy_denied"] * 3
    assert rest.call("POST", f"{path}/signal", mode="SIGKILL").status_code == 200


@pytest.mark.parametrize(
    ("limits", "script", "outcome"),
    [
        ({"processes": 20}, "import os\nwhile True:\n try: os.fork()\n except OSError: pass", "processes_limit"),
        ({"memory": 64 * 2**20}, "x = []\nwhile True: x.append(bytearray(2**20))", "memory_limit"),
        ({"cpu": 0.3}, "while True: pass", "cpu_limit"),
        ({"output": 2**20}, "while True: print('x' * 999)", "output_limit"),
    ],
    ids=["fork-bomb", "memory-bomb", "endless-loop", "endless-output"],
)
def test_who_takes_too_much_is_ended_while_the_agent_goes_on_answering(
    rest: Rest, house: House, server: Server, limits: dict[str, float], script: str, outcome: str
) -> None:
    house.agent(server.url)
    backend = rest.wait_online()
    cmd = [PYTHON, "-c", script]
    run = rest.post(f"/backends/{backend}/processes", cmd=cmd, limits=limits)["run_id"]
    assert rest.post(f"/backends/{backend}/processes", cmd=["true"])["proc_id"]
    assert rest.get(f"/backends/{backend}/telemetry")["ttl_mem_usage"]
    path = f"/backends/{backend}/runs/{run}"
    ended = until(lambda: found if (found := rest.get(path))["state"] == "ended" else None, "it is ended")
    assert ended["outcome"] == outcome
    assert rest.processes(backend) == []


def test_tcp_ports_are_those_that_the_owner_names(house: House, server: Server, rest: Rest) -> None:
    mine, other = free_port(), free_port()
    house.agent(server.url, f"--policy={write(house, f'tcp_bind = [{mine}]')}")
    backend = rest.wait_online()
    script = "import socket, sys; socket.create_server(('127.0.0.1', int(sys.argv[1])))"
    connect = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])))"
    agents = str(server.port)

    def code(script: str, port: str) -> int:
        run = rest.post(f"/backends/{backend}/processes", cmd=[PYTHON, "-c", script, port])["run_id"]
        path = f"/backends/{backend}/runs/{run}"
        ended = until(lambda: found if (found := rest.get(path))["state"] == "ended" else None, "it ends")
        return int(ended["exit_code"])

    assert (code(script, str(mine)), code(script, str(other)), code(connect, agents)) == (0, 1, 0)
    write(house, "tcp_connect = []\n")
    assert (code(script, str(other)), code(connect, agents)) == (0, 1)
    assert shown(rest, backend)["tcp_bind"] == [mine]
