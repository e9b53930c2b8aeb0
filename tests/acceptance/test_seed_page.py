"""The seed's page, line by line: our server with a backend of that page, a server of that page with our agent, and ours
with ours. Whatever is not on the page, a peer of the page refuses by ending with an error (`peers.page`)."""

from __future__ import annotations

import asyncio
import json
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from acceptance.house import PEERS, House, Program, Rest, Server, is_alive, until
from harness.server import PASSWORD, free_port
from peers import page
from peers.seed_backend import NotLetInError, SeedBackend
from peers.seed_server import FailedError, SeedServer, SeedSession

EVERYTHING = ["ttl_cpu_usage", "ttl_mem_usage", "disk_util", "vpn_status"]


async def eventually(rest: Rest, backend: str, *, connected: bool) -> None:
    async with asyncio.timeout(10):
        while (backend in await asyncio.to_thread(rest.online)) is not connected:
            await asyncio.sleep(0.05)


@asynccontextmanager
async def serving(backend: SeedBackend) -> AsyncIterator[asyncio.Task[None]]:
    """Have a seed backend answer for as long as the block lasts; what was off the page is raised."""
    task = asyncio.create_task(backend.serve())
    try:
        yield task
    finally:
        await backend.connection.close()
        with suppress(ConnectionClosed):
            await task


async def new_backend(rest: Rest, backend: SeedBackend) -> str:
    """Enrol, and return the id that the server gave."""
    before = {found["id"] for found in await asyncio.to_thread(rest.backends)}
    await backend.enrol("gate", PASSWORD)
    after = {found["id"] for found in await asyncio.to_thread(rest.backends)}
    (added,) = after - before
    return str(added)


# -- our server, a backend of the page ----------------------------------------------------------


async def test_initial_authentication_gives_a_token_of_a_day(shared: Server, tmp_path: Path) -> None:
    async with SeedBackend(shared.url, tmp_path) as backend:
        token = await backend.enrol("gate", PASSWORD)
    assert backend.validity == 86400
    assert len(token) >= 30


async def test_a_wrong_password_is_password_invalid(shared: Server, tmp_path: Path) -> None:
    async with SeedBackend(shared.url, tmp_path) as backend:
        with pytest.raises(NotLetInError, match="^password_invalid$"):
            await backend.enrol("gate", "bright01")
        # The connection is not lost by it: the right password may follow.
        await backend.enrol("gate", PASSWORD)


async def test_a_token_that_nobody_knows_is_token_invalid(shared: Server, tmp_path: Path) -> None:
    async with SeedBackend(shared.url, tmp_path) as backend:
        with pytest.raises(NotLetInError, match="^token_invalid$"):
            await backend.resume("fonsdkosdg9wjttj092gf1rj9fm2fe")


async def test_a_backend_of_the_page_comes_back_with_its_token(shared: Server, rest: Rest, tmp_path: Path) -> None:
    async with SeedBackend(shared.url, tmp_path) as backend:
        name = await new_backend(rest, backend)
    await eventually(rest, name, connected=False)
    async with SeedBackend(shared.url, tmp_path) as backend:
        await backend.authenticate("nobody", "nothing")
        assert 86000 < backend.validity <= 86400
        assert name in await asyncio.to_thread(rest.online)


async def test_a_reconnect_destroys_the_old_connection(shared: Server, rest: Rest, tmp_path: Path) -> None:
    async with SeedBackend(shared.url, tmp_path) as old, SeedBackend(shared.url, tmp_path) as new:
        name = await new_backend(rest, old)
        await new.authenticate("gate", PASSWORD)
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(old.serve(), 10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4001
        async with serving(new):
            assert await asyncio.to_thread(rest.processes, name) == []


async def test_programs_of_a_backend_of_the_page(shared: Server, rest: Rest, tmp_path: Path) -> None:
    async with SeedBackend(shared.url, tmp_path) as backend:
        name = await new_backend(rest, backend)
        async with serving(backend):
            pid = await asyncio.to_thread(rest.execute, name, "sleep", "1000")
            assert is_alive(pid)
            (row,) = await asyncio.to_thread(rest.processes, name)
            assert (row["pid"], row["title"], row["reqc"]) == (pid, "sleep", "sleep 1000")
            assert set(row) == {"title", "pid", "cpu_util", "mem_util", "reqc", "port_util"}
            answer = await asyncio.to_thread(rest.signal, name, pid, "SIGTERM")
            assert (answer.status_code, answer.json()) == (200, {"result": "success"})
            (program,) = backend.programs
            assert await asyncio.to_thread(program.wait, 10) == -15
            assert await asyncio.to_thread(rest.processes, name, 2) == []


async def test_a_refusal_of_a_backend_of_the_page_is_shown_as_it_is(shared: Server, rest: Rest, tmp_path: Path) -> None:
    async with SeedBackend(shared.url, tmp_path) as backend:
        name = await new_backend(rest, backend)
        async with serving(backend):
            answer = await asyncio.to_thread(rest.signal, name, 1, "SIGTERM")
            assert (answer.status_code, answer.json()["reason"]) == (422, "not_ours")


async def test_telemetry_of_a_backend_of_the_page(shared: Server, rest: Rest, tmp_path: Path) -> None:
    async with SeedBackend(shared.url, tmp_path) as backend:
        name = await new_backend(rest, backend)
        async with serving(backend):
            data = await asyncio.to_thread(rest.get, f"/backends/{name}/telemetry")
            page.check(data, page.TELE_DATA)
            assert data["vpn_status"]["conn_host"] == "th1.s.quix.click"
            one = await asyncio.to_thread(rest.get, f"/backends/{name}/telemetry?stat_types=ttl_mem_usage")
            assert set(one) == {"ttl_mem_usage"}


async def test_a_backend_of_the_page_is_told_why_it_gets_no_vpn(shared: Server, tmp_path: Path) -> None:
    async with SeedBackend(shared.url, tmp_path) as backend:
        await backend.enrol("gate", PASSWORD)
        async with serving(backend):
            assert await backend.get_vpn_conf() == {"result": "failure", "reason": "vpn_unavailable"}


def test_the_page_alone_is_enough_for_a_backend(house: House) -> None:
    """The script, as somebody would run it."""
    server = house.server()
    backend = house.seed_backend(server.url)
    backend.wait_for("authenticated")
    rest = server.rest()
    name = rest.wait_online()
    pid = rest.execute(name, "sleep", "1000")
    assert rest.signal(name, pid, "SIGKILL").status_code == 200
    assert server.terminate() == 0
    assert backend.wait() == 0, backend.text
    assert backend.events("closed") == [{"event": "closed", "code": 1013}]


# -- a server of the page, our agent ------------------------------------------------------------


@asynccontextmanager
async def seed_server(
    port: int, eager: tuple[tuple[str, object], ...] = (), validity: float = 86400
) -> AsyncIterator[SeedServer]:
    server = SeedServer("127.0.0.1", port, "gate", PASSWORD, eager)
    server.validity = validity
    async with server:
        yield server


@asynccontextmanager
async def seed_pair(house: House, *args: str) -> AsyncIterator[tuple[SeedServer, SeedSession, Program]]:
    port = free_port()
    async with seed_server(port) as server:
        agent = house.agent(f"ws://127.0.0.1:{port}/any/path", *args)
        yield server, await server.backend(), agent


async def test_our_agent_enrols_and_resumes_at_a_server_of_the_page(house: House) -> None:
    async with seed_pair(house) as (server, first, agent):
        assert first.is_new
        # Killed any earlier, it may not have read its token yet.
        await asyncio.to_thread(agent.wait_for, "enrolled")
        await asyncio.to_thread(agent.kill)
        again = house.agent(f"ws://127.0.0.1:{first.connection.local_address[1]}/")
        second = await server.backend()
        assert (second.token, second.is_new) == (first.token, False)
        assert server.offered == ["quix-wsi.1", "quix-wsi.1"]
        assert await asyncio.to_thread(again.terminate) == 0


async def test_our_agent_saves_the_token_of_a_server_of_the_page(house: House) -> None:
    async with seed_pair(house) as (_, session, agent):
        file = house.root / "m1" / "agent" / "token.json"
        await asyncio.to_thread(agent.wait_for, "enrolled")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert json.loads(file.read_text())["token"] == session.token


async def test_our_agent_comes_back_when_a_server_of_the_page_destroys_the_connection(house: House) -> None:
    async with seed_pair(house) as (server, first, agent):
        first.connection.transport.abort()
        second = await server.backend()
        assert (second.token, second.is_new) == (first.token, False)
        assert agent.is_running


async def test_a_server_of_the_page_runs_programs_on_our_agent(house: House) -> None:
    async with seed_pair(house) as (_, session, _agent):
        pid = await session.execute(["python3", "-c", "import time; time.sleep(1000)", "--help"])
        (row,) = await session.view_running()
        assert row["pid"] == pid
        assert row["reqc"] == "python3 -c 'import time; time.sleep(1000)' --help"
        await session.proc_signal(pid, "SIGTERM")
        await asyncio.to_thread(until, lambda: not is_alive(pid), "the program has ended")
        assert await session.view_running() == []


async def test_a_server_of_the_page_is_refused_in_its_own_shape(house: House) -> None:
    async with seed_pair(house) as (_, session, _agent):
        with pytest.raises(FailedError, match="^command_not_found$"):
            await session.execute(["no-such-program"])
        with pytest.raises(FailedError, match="^pid_unknown$"):
            await session.proc_signal(1, "SIGKILL")
        with pytest.raises(FailedError, match="^mode_invalid$"):
            await session.proc_signal(await session.execute(["sleep", "9"]), "SIGSTOP")
        with pytest.raises(FailedError, match="^request_unknown$"):
            await session.ask("make_coffee", {}, page.SIGNALLED)


async def test_a_server_of_the_page_measures_our_agent(house: House) -> None:
    async with seed_pair(house) as (_, session, _agent):
        data = await session.telemetry()
        assert set(data) == set(EVERYTHING)
        assert set(await session.telemetry(["disk_util", "ttl_cpu_usage"])) == {"disk_util", "ttl_cpu_usage"}
        # A kind that a backend does not know is left out.
        assert await session.ask("telemetry", {"stat_types": ["moon_phase"]}, page.measured([], has_vpn=False))


async def test_our_agent_asks_a_server_of_the_page_for_its_vpn(house: House) -> None:
    async with seed_pair(house, "--vpn=wireguard") as (_, session, _agent):
        folder = house.root / "m1" / "agent" / "vpn"
        await asyncio.to_thread(until, lambda: session.vpn_requests == 1, "the agent asks for its configuration")
        await asyncio.to_thread(
            until, lambda: any("af8t8" in file.read_text() for file in folder.glob("*.conf")), "it is on the disk"
        )


async def test_requests_that_follow_directly_on_the_answer_to_authenticate_are_answered(house: House) -> None:
    """A server of the page owes the agent no pause: it is authenticated as soon as the server has said so."""
    port = free_port()
    eager = (("execute", {"cmd": ["sleep", "1000"]}), ("view_running", {"verb": 1}))
    async with seed_server(port, eager) as server:
        house.agent(f"ws://127.0.0.1:{port}")
        session = await server.backend()
        executed = await session.answer_to(65019, page.EXECUTED)
        assert is_alive(executed["proc_id"])
        await session.answer_to(65020, page.RUNNING)


async def test_our_agent_stops_where_a_server_of_the_page_forgot_its_token(house: House) -> None:
    async with seed_pair(house) as (server, session, agent):
        server.forget_tokens()
        session.connection.transport.abort()
        assert await asyncio.to_thread(agent.wait) == 67
        again = house.agent(f"ws://127.0.0.1:{session.connection.local_address[1]}/", "--re-enroll")
        other = await server.backend()
        assert other.is_new
        assert other.token != session.token
        assert again.is_running


def test_the_page_alone_is_enough_for_a_server(house: House) -> None:
    """The script, as somebody would run it."""
    port = free_port()
    argv = [sys.executable, str(PEERS / "seed_server.py"), f"127.0.0.1:{port}", "gate", str(house.password_file)]
    server = house.start("seed-server", argv)
    house.agent(f"ws://127.0.0.1:{port}")
    server.wait_for("signalled")
    assert [event["new"] for event in server.events("authenticated")] == [True]
    assert server.events("running")[0]["rows"][0]["pid"] == server.events("executed")[0]["pid"]


# -- ours with ours -----------------------------------------------------------------------------


def test_the_whole_page_between_our_own(shared: Server, rest: Rest, machine: str) -> None:
    pid = rest.execute(machine, "python3", "-c", "import time; time.sleep(1000)")
    rows = [row for row in rest.processes(machine) if row["pid"] == pid]
    page.check({"rid": 0, "msg": rows}, page.RUNNING)
    assert len(rows) == 1
    assert rest.signal(machine, pid, "SIGTERM").json() == {"result": "success"}
    until(lambda: not is_alive(pid), "the program has ended")
    page.check({"rid": 0, "msg": {"tele_data": rest.get(f"/backends/{machine}/telemetry")}},
               page.measured(EVERYTHING, has_vpn=False))  # fmt: skip


def test_between_our_own_the_extensions_are_agreed(rest: Rest, machine: str) -> None:
    found = rest.get(f"/backends/{machine}")
    assert found["connected"] is True
    assert {"agent", "token"} <= set(found["extensions"])


def test_our_agent_may_be_told_to_speak_the_page_alone(house: House) -> None:
    server = house.server()
    agent = house.agent(server.url, seed_only="true")
    agent.wait_for("enrolled")
    rest = server.rest()
    found = rest.get(f"/backends/{rest.wait_online()}")
    assert (found["extensions"], found["facts"]) == ({}, None)
