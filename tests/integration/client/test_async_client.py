"""`quix.AsyncClient`: what it does beside the synchronous one, from which it differs in the waiting alone."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from harness.api import Place
from harness.cutter import Cutter
from harness.lossy import losing, page
from harness.server import PASSWORD
from quix import AsyncClient
from quix.client import (
    DeniedError,
    NoAnswerError,
    NotQuixServerError,
    OfflineError,
    RefusedError,
    ServerUnreachableError,
    UnknownBackendError,
    UnknownOutcomeError,
)
from quix.server.events import Kind


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition is true."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def machine(req: str, msg: Any) -> Any:
    if req == "execute" and msg["cmd"] == ["slow"]:
        return None
    if req == "execute" and msg["cmd"] != ["true"]:
        return {"result": "failure", "reason": "command_not_found"}
    return {"result": "success", "proc_id": 7} if req == "execute" else {"tele_data": {"ttl_mem_usage": [1, 2, 3]}}


@pytest.fixture
async def admin(there: Place) -> AsyncIterator[AsyncClient]:
    async with await AsyncClient.login(there.url, "root", PASSWORD) as client:
        yield client


async def test_a_session(there: Place, admin: AsyncClient) -> None:
    async with there.agent(machine, "web-1"):
        assert (await admin.me()).role == "admin"
        assert [backend.name async for backend in admin.backends()] == ["web-1"]
        backend = await admin.backend("web-1")
        started = await admin.execute(backend.id, ["true"])
        assert [await admin.run("web-1", started.run_id)] == [run async for run in admin.runs("web-1")]
        assert (await admin.telemetry("web-1", ["ttl_mem_usage"])).ttl_mem_usage == [1, 2, 3]
        with pytest.raises(RefusedError) as refused:
            await admin.execute("web-1", ["false"])
        assert (refused.value.reason, refused.value.status) == ("command_not_found", 422)
        with pytest.raises(UnknownBackendError):
            await admin.backend("web-2")
        await admin.logout()
        with pytest.raises(DeniedError):
            await admin.me()
    assert repr(admin) == f"AsyncClient({there.url!r})"


async def test_a_login_that_is_refused_leaves_nothing_open(there: Place) -> None:
    with pytest.raises(DeniedError):
        await AsyncClient.login(there.url, "root", "wrong")


async def test_more_than_a_page(there: Place, admin: AsyncClient) -> None:
    made = [(await there.control.store.backends.create("gate", "")).id for _ in range(1001)]
    assert [backend.id async for backend in admin.backends()] == made
    with pytest.raises(OfflineError):
        await admin.execute(made[0], ["true"])


# -- events ---------------------------------------------------------------------------------------


async def test_events_go_on_where_they_were_when_the_door_was_closed(there: Place, admin: AsyncClient) -> None:
    place = there.control.events.newest
    troubles: list[Exception] = []
    there.control.events.publish(Kind.RUN_STARTED, "b1", run="r1")
    async with asyncio.timeout(60), aclosing(admin.events(after=place, trouble=troubles.append)) as events:
        assert (await anext(events)).data == {"run": "r1"}
        await there.close()
        there.control.events.publish(Kind.RUN_ENDED, "b1", run="r1")
        waiting = asyncio.ensure_future(anext(events))
        await until(lambda: bool(troubles))
        await there.open()
        assert (await waiting).kind == "run_ended"


@pytest.mark.parametrize("line", [b"id: %d\n", b"id: %d\nevent: run_started\ndata: {\n"])
async def test_an_event_that_is_cut_off_behind_its_id_comes_again(there: Place, line: bytes) -> None:
    place = there.control.events.newest
    for run in ("r1", "r2"):
        there.control.events.publish(Kind.RUN_STARTED, "b1", run=run)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    way = losing(there.url, b"GET /api/v1/events", head + line % (place + 1))
    async with asyncio.timeout(60), way as url, await AsyncClient.login(url, "root", PASSWORD) as client:
        events = client.events(after=place)
        assert [(await anext(events)).data for _ in range(2)] == [{"run": "r1"}, {"run": "r2"}]
        await events.aclose()


@pytest.mark.parametrize("way", ["cancelled", "break"])
async def test_whoever_stops_reading_leaves_no_connection(there: Place, admin: AsyncClient, way: str) -> None:
    async def read(client: AsyncClient) -> None:
        async for _ in client.events(after=place):
            reading.set()
            if way == "break":
                break

    reading = asyncio.Event()
    place = there.control.events.newest
    there.control.events.publish(Kind.RUN_STARTED, "b1", run="r1")
    with Cutter(int(there.url.rpartition(":")[2])) as wire:
        async with AsyncClient(f"http://127.0.0.1:{wire.port}", admin.token) as client:
            task = asyncio.create_task(read(client))
            await asyncio.wait_for(reading.wait(), 20)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await until(lambda: not wire._open)


# -- time-outs and connections --------------------------------------------------------------------


@contextlib.asynccontextmanager
async def mute() -> AsyncIterator[tuple[str, list[int]]]:
    """A server that takes connections and says nothing; the list holds how many were open, each time one came."""
    counts: list[int] = []
    streams: set[asyncio.StreamWriter] = set()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        streams.add(writer)
        counts.append(len(streams))
        await reader.read()
        streams.discard(writer)
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", counts
        for stream in streams:
            stream.close()


async def test_server_that_takes_too_long() -> None:
    async with mute() as (url, _), AsyncClient(url, "x", 0.2) as client:
        with pytest.raises(ServerUnreachableError, match="timed out|ReadTimeout"):
            await client.me()
        with pytest.raises(NoAnswerError, match="whether it was done is not known") as unknown:
            await client.execute("web-1", ["true"], patience=0.2)
        assert len(unknown.value.key) == 32


async def test_a_time_out_of_the_caller_ends_the_request() -> None:
    async with mute() as (url, counts), AsyncClient(url, "x") as client:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.execute("web-1", ["true"])
        assert time.monotonic() - began < 5
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.me()
        assert counts == [1, 1]  # the first was closed


async def test_no_more_connections_than_asked_for(there: Place) -> None:
    async with mute() as (url, counts), AsyncClient(url, "x", 1, connections=2) as client:
        # Those that wait for a connection are not out of time: each is sent, and then not answered.
        async with asyncio.timeout(30):
            asked = await asyncio.gather(*(client.me() for _ in range(6)), return_exceptions=True)
        assert all(isinstance(each, ServerUnreachableError) for each in asked)
        assert len(counts) == 6
        assert max(counts) == 2
    async with await AsyncClient.login(there.url, "root", PASSWORD, connections=3) as client:
        assert {me.username for me in await asyncio.gather(*(client.me() for _ in range(50)))} == {"root"}


# -- once -----------------------------------------------------------------------------------------


STARTING = b"POST /api/v1/backends/web-1/processes "


@pytest.mark.parametrize("instead", [b"", page(502), page(503), page(504)])
async def test_an_answer_that_is_lost_is_asked_for_again_and_one_program_started(there: Place, instead: bytes) -> None:
    async with losing(there.url, STARTING, instead) as url:
        client = await AsyncClient.login(url, "root", PASSWORD)
        async with client, there.agent(machine, "web-1") as agent:
            started = await client.execute("web-1", ["true"])
            assert [run.id async for run in client.runs("web-1")] == [started.run_id]
            assert [req for req, _ in agent.asked] == ["execute"]


async def test_what_is_no_server_after_it_was_asked_does_not_mean_that_nothing_was_done(there: Place) -> None:
    async with (
        losing(there.url, STARTING, page(504)) as way,
        losing(way, b"GET /api/v1/backends/web-1 ", page(404)) as url,
    ):
        client = await AsyncClient.login(url, "root", PASSWORD)
        async with client, there.agent(machine, "web-1") as agent:
            with pytest.raises(NoAnswerError, match="a proxy before the server answered 504") as unknown:
                await client.execute("web-1", ["true"])
            assert (await client.execute("web-1", ["true"], key=unknown.value.key)).proc_id == 7
            assert [req for req, _ in agent.asked] == ["execute"]


async def test_a_proxy_is_no_wrong_url_where_it_says_that_the_server_is_away(there: Place) -> None:
    way = losing(there.url, b"GET /api/v1/me ", page(502))
    async with way as url, await AsyncClient.login(url, "root", PASSWORD) as client:
        with pytest.raises(ServerUnreachableError, match="a proxy before the server answered 502"):
            await client.me()
        assert (await client.me()).username == "root"
    way = losing(there.url, b"GET /api/v1/me ", page(404))
    async with way as url, await AsyncClient.login(url, "root", PASSWORD) as client:
        with pytest.raises(NotQuixServerError):
            await client.me()


async def test_what_the_backend_did_not_answer_is_asked_again(there: Place, admin: AsyncClient) -> None:
    async with there.agent(machine, "web-1", process=1) as agent:
        asking = asyncio.create_task(admin.execute("web-1", ["slow"]))
        await until(lambda: len(agent.asked) == 2)
        await agent.answer({"result": "success", "proc_id": 9})
        assert (await asking).proc_id == 9
        # The backend was asked for the same run both times, so it started it once.
        assert len({msg["key"] for _, msg in agent.asked}) == 1


async def test_what_the_backend_did_not_answer_can_be_asked_again_with_the_key(
    there: Place, admin: AsyncClient
) -> None:
    async with there.agent(machine, "web-1", process=1) as agent:
        with pytest.raises(UnknownOutcomeError) as unknown:
            await admin.execute("web-1", ["slow"], patience=0)
        assert unknown.value.reason == "timeout"
        asking = asyncio.create_task(admin.execute("web-1", ["slow"], key=unknown.value.key))
        await until(lambda: len(agent.asked) == 2)
        await agent.answer({"result": "success", "proc_id": 9})
        assert (await asking).proc_id == 9
        assert len({msg["key"] for _, msg in agent.asked}) == 1


async def test_an_agent_that_would_start_it_twice_is_asked_once(there: Place, admin: AsyncClient) -> None:
    async with there.agent(machine, "web-1") as agent:
        began = time.monotonic()
        with pytest.raises(UnknownOutcomeError, match="asked for before"):
            await admin.execute("web-1", ["slow"])
        assert time.monotonic() - began < 20
        assert [req for req, _ in agent.asked] == ["execute"]


async def test_a_server_that_is_gone_after_it_was_asked_does_not_mean_that_nothing_was_done(there: Place) -> None:
    with contextlib.ExitStack() as stack:
        wire = stack.enter_context(Cutter(int(there.url.rpartition(":")[2])))
        client = await AsyncClient.login(f"http://127.0.0.1:{wire.port}", "root", PASSWORD, 3)
        async with client, there.agent(machine, "web-1", process=1) as agent:
            asking = asyncio.create_task(client.execute("web-1", ["slow"], patience=2))
            await until(lambda: bool(agent.asked))
            stack.close()
            async with asyncio.timeout(20):
                with pytest.raises(NoAnswerError) as unknown:
                    await asking
            assert unknown.value.key
