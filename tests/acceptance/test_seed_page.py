"""The seed's page, line by line: our server with a peer that knows the page alone, our agent with another such peer,
and ours with ours."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from harness.processes import PASSWORDS, Site, until
from harness.server import free_port
from peers import seed_shapes as shapes
from peers.seed_backend import SeedBackend
from peers.seed_server import SeedServer

STAT_TYPES = ["ttl_cpu_usage", "ttl_mem_usage", "disk_util", "vpn_status"]


@contextlib.asynccontextmanager
async def seed_backend(place: Site) -> AsyncIterator[SeedBackend]:
    async with connect(place.url, compression=None) as connection:
        assert connection.subprotocol is None
        backend = SeedBackend(connection)
        serving = asyncio.create_task(backend.serve())
        try:
            yield backend
            assert not backend.errors
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            for process, _ in backend.programs.values():
                process.kill()
                process.wait()


async def test_our_server_and_a_backend_of_the_page(place: Site) -> None:
    place.start(QUIX_VPN__WIREGUARD__ENABLED="true")
    rest = await asyncio.to_thread(place.rest)
    async with seed_backend(place) as backend:
        assert await backend.first("gate", "not the password") == {"success": False, "reason": "password_invalid"}
        first = await backend.first("gate", PASSWORDS["gate"])
        assert first["validity"] == 86400
        [row] = (await asyncio.to_thread(rest.get, "/backends")).json()["items"]
        assert row["connected"] is True
        path = f"/backends/{row['id']}"

        started = await asyncio.to_thread(rest.post, f"{path}/processes", json={"cmd": ["sleep", "60"]})
        assert started.status_code == 201
        pid = started.json()["proc_id"]
        assert [*backend.programs] == [pid]
        missing = await asyncio.to_thread(rest.post, f"{path}/processes", json={"cmd": ["no-such-program"]})
        assert (missing.status_code, missing.json()["reason"]) == (422, "command_not_found")

        [running] = (await asyncio.to_thread(rest.get, f"{path}/processes")).json()["items"]
        assert (running["pid"], running["reqc"]) == (pid, "sleep 60")
        killed = await asyncio.to_thread(rest.post, f"{path}/processes/{pid}/signal", json={"mode": "SIGTERM"})
        assert killed.status_code == 200
        assert backend.programs[pid][0].returncode == -signal.SIGTERM

        measured = (await asyncio.to_thread(rest.get, f"{path}/telemetry")).json()
        assert measured["ttl_cpu_usage"] == [0.10, 0.11, 0.02, 0.01]
        assert measured["vpn_status"]["conn_host"] == "th1.s.quix.click"

        conf = await backend.vpn()
        assert conf["conf_data"].startswith("[Interface]\nPrivateKey = ")
        again = await backend.vpn()
        assert _address(again["conf_data"]) == _address(conf["conf_data"])
        assert (await backend.vpn("ipsec"))["reason"] == "conf_type_unknown"
        assert (await backend.vpn("wireguard", "tcp"))["reason"] == "tun_mode_invalid"
        assert (await backend.vpn("openvpn"))["reason"] == "vpn_unavailable"

    async with seed_backend(place) as backend:
        answer = await backend.again(first["token"])
        assert answer["validity"] <= 86400
        [row_again] = (await asyncio.to_thread(rest.get, "/backends")).json()["items"]
        assert row_again["id"] == row["id"]
    async with seed_backend(place) as backend:
        assert await backend.again("fonsdkosdg9wjttj092gf1rj9fm2fe") == {"success": False, "reason": "token_invalid"}
        await backend.first("gate", PASSWORDS["gate"])
        assert len((await asyncio.to_thread(rest.get, "/backends")).json()["items"]) == 2
    rest.close()


def _address(conf: str) -> str:
    return next(line for line in conf.splitlines() if line.startswith("Address"))


@contextlib.asynccontextmanager
async def seed_server(server: SeedServer, port: int) -> AsyncIterator[None]:
    async with serve(server.handle, "127.0.0.1", port, compression=None):
        yield
        assert not server.errors


@pytest.mark.root
async def test_our_agent_and_a_server_of_the_page(place: Site) -> None:
    place.password_file("gate").write_text("bright01")
    port, server = free_port(), SeedServer("gate")
    url = f"ws://127.0.0.1:{port}/any/path"
    async with seed_server(server, port):
        agent = await asyncio.to_thread(place.agent, "box", "--vpn", "wireguard", url=url)
        await _until(lambda: server.live)
        conf = place.folder / "agent-box" / "agent" / "vpn" / "quix0.conf"
        await _until(conf.exists)
        assert conf.stat().st_mode & 0o777 == 0o600

        server_program = "import socket,time; s=socket.create_server(('127.0.0.1', 0)); time.sleep(60)"
        cmd = ["python3", "-c", server_program]
        started = await server.ask("execute", {"cmd": cmd})
        shapes.check(started, shapes.EXECUTED)
        pid = started["proc_id"]
        assert Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].endswith(b"python3")
        assert os.stat(f"/proc/{pid}").st_uid != 0
        shapes.check(await server.ask("execute", {"cmd": ["no-such-program"]}), shapes.FAILURE)

        await _until_async(lambda: _ports(server))
        running = await server.ask("view_running", {"verb": 1})
        shapes.check(running, shapes.RUNNING)
        assert [(row["pid"], row["reqc"]) for row in running] == [(pid, shlex.join(cmd))]
        everything = await server.ask("view_running", {"verb": 2})
        shapes.check(everything, shapes.RUNNING)
        assert {pid, os.getpid()} <= {row["pid"] for row in everything}

        measured = await server.ask("telemetry", {"stat_types": STAT_TYPES})
        assert set(measured) == {"tele_data"}
        assert [*measured["tele_data"]] == STAT_TYPES
        assert len(measured["tele_data"]["ttl_cpu_usage"]) == os.cpu_count()
        one = await server.ask("telemetry", {"stat_types": ["ttl_mem_usage", "no_such_type"]})
        assert [*one["tele_data"]] == ["ttl_mem_usage"]

        foreign = await server.ask("proc_signal", {"pid": os.getpid(), "mode": "SIGKILL"})
        assert foreign == {"result": "failure", "reason": "pid_unknown"}
        assert (await server.ask("proc_signal", {"pid": pid, "mode": "SIGUSR1"}))["reason"] == "mode_invalid"
        shapes.check(await server.ask("proc_signal", {"pid": pid, "mode": "SIGTERM"}), shapes.SIGNALLED)
        await _until(lambda: not Path(f"/proc/{pid}").exists())
        unknown = await server.ask("agent_facts", {})
        assert unknown["reason"] == "request_unknown"

        # The connection is lost: the agent comes back with its token, as the same backend.
        await server.live[server.tokens[0]].close(1001)
        await _until(lambda: server.resumptions == 1)
        await asyncio.to_thread(agent.stop, signal.SIGKILL)
        await asyncio.to_thread(place.agent, "box", url=url)
        await _until(lambda: server.resumptions == 2)
        assert server.enrolments == 1
        assert server.tokens[0] not in agent.log


async def _ports(server: SeedServer) -> bool:
    rows = await server.ask("view_running", {"verb": 1})
    return bool(rows and rows[0]["port_util"])


async def _until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


async def _until_async(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.05)


@pytest.mark.root
def test_ours_with_ours(place: Site) -> None:
    server = place.start(QUIX_VPN__WIREGUARD__ENABLED="true")
    agent = place.agent("box", "--vpn", "wireguard", "--label", "role=test")
    row = place.online()
    assert row["facts"]["labels"] == {"role": "test"}
    assert row["extensions"] == {"agent": 1, "token": 1}
    started = place.json("run", "-d", "box", "--", "sleep", "60")
    assert [process["pid"] for process in place.json("ps", "box")] == [started["proc_id"]]
    assert [run["id"] for run in place.json("runs", "box")] == [started["run_id"]]
    measured = place.json("telemetry", "box")
    assert [*measured] == STAT_TYPES
    assert measured["vpn_status"] is None
    until((place.folder / "agent-box" / "agent" / "vpn" / "quix0.conf").exists)
    [lease] = place.json("vpn", "ls")
    assert (lease["backend_id"], lease["revoked_at"]) == (row["id"], None)
    assert place.cli("kill", "box", str(started["proc_id"])).returncode == 0
    until(lambda: place.json("ps", "box") == [])
    assert agent.stop() == 0
    assert server.stop() == 0
    for log in (agent.log, server.log):
        assert "Traceback" not in log
        for secret in PASSWORDS.values():
            assert secret not in log


@pytest.mark.root
def test_the_older_socket_of_a_token_is_destroyed(place: Site) -> None:
    place.start()
    place.agent("box")
    place.online()
    token = (place.folder / "agent-box" / "agent" / "token.json").read_text().split('"')[3]

    async def take_over() -> None:
        async with seed_backend(place) as backend:
            assert (await backend.again(token))["success"] is True
            began = time.monotonic()
            # The agent notices, waits its turn, and takes the backend back: this socket then gets 4001.
            with pytest.raises(websockets.ConnectionClosed) as caught:
                while time.monotonic() - began < 60:
                    await backend.vpn()
                    await asyncio.sleep(0.2)
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 4001

    log = place.folder / "agent-box.log"
    with contextlib.suppress(TimeoutError):
        asyncio.run(take_over())
    until(lambda: "superseded" in log.read_text(), 5)
