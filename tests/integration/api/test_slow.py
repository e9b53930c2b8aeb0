"""Requests that take their time: what holds is what holds once they are whole, and they may not take for ever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.api import API, Place, place
from quix.api import patience, runs
from quix.store.users import Role


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[Place]:
    async with place(tmp_path) as there:
        yield there


class Slow:
    """A request whose head is sent at once, and its body when it is told to."""

    def __init__(self, there: Place) -> None:
        url = httpx.URL(there.url)
        self._place = (url.host, url.port)

    async def begin(self, method: str, path: str, body: bytes, token: str = "") -> None:
        self._reader, self._writer = await asyncio.open_connection(*self._place)
        self._body = body
        lines = [f"{method} {API}{path} HTTP/1.1", "Host: there", "Content-Type: application/json"]
        lines += [f"Content-Length: {len(body)}", *([f"Authorization: {token}"] if token else []), "", ""]
        self._writer.write("\r\n".join(lines).encode())
        await self._writer.drain()

    async def begun(self) -> None:
        """Wait until the server has taken the head, and asked who this is."""
        await asyncio.sleep(0.2)

    async def end(self) -> tuple[int, Any]:
        """Send the body; return status and answer."""
        self._writer.write(self._body)
        async with asyncio.timeout(10):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            body = await self._reader.readexactly(length)
        self.close()
        return int(head.split()[1]), json.loads(body)

    async def is_cut_off(self) -> bool:
        try:
            async with asyncio.timeout(10):
                return await self._reader.read(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self._writer.close()


def machine(req: str, _msg: Any) -> Any:
    return {"result": "success", "proc_id": 7}


async def test_who_is_removed_while_the_body_is_on_its_way_starts_nothing(there: Place) -> None:
    operator, admin = await there.login(Role.OPERATOR), await there.login(Role.ADMIN)
    slow = Slow(there)
    async with there.agent(machine, "web-1") as agent:
        token = operator.headers["authorization"]
        await slow.begin("POST", "/backends/web-1/processes", b'{"cmd": ["evil"]}', token)
        await slow.begun()
        assert (await admin.delete("/users/op")).status_code == 204
        status, answer = await slow.end()
        assert (status, answer["reason"]) == (401, "token_invalid")
        assert agent.asked == []


async def test_a_password_that_is_set_meanwhile_leaves_no_token_behind(there: Place) -> None:
    operator, admin = await there.login(Role.OPERATOR), await there.login(Role.ADMIN)
    slow = Slow(there)
    wanted = {"name": "back", "role": "operator", "validity": 1000}
    await slow.begin("POST", "/tokens", json.dumps(wanted).encode(), operator.headers["authorization"])
    await slow.begun()
    assert (await admin.patch("/users/op", json={"password": "another password"})).status_code == 200
    assert (await slow.end())[0] == 401
    assert (await admin.get("/tokens")).json()["items"] == []


async def test_a_token_that_is_made_in_the_moment_its_login_ends_is_worth_nothing(
    there: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, admin = await there.login(Role.OPERATOR), await there.login(Role.ADMIN)
    issue = there.control.store.credentials.issue

    async def too_late(*arguments: Any) -> str:
        assert (await admin.patch("/users/op", json={"password": "another password"})).status_code == 200
        return await issue(*arguments)

    monkeypatch.setattr(there.control.store.credentials, "issue", too_late)
    answer = await operator.post("/tokens", json={"name": "back", "role": "operator", "validity": 1000})
    assert answer.status_code == 401
    assert (await admin.get("/tokens")).json()["items"] == []


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost:", b"POST /api/v1/login HTTP/1.1\r\nHost: x\r\n"])
@pytest.mark.parametrize("before", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["first", "second"])
async def test_a_request_that_does_not_come_is_waited_for_no_longer(
    there: Place, monkeypatch: pytest.MonkeyPatch, before: bytes, sent: bytes
) -> None:
    monkeypatch.setattr(patience, "REQUEST_LIMIT", 0.3)
    url = httpx.URL(there.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    if before:
        writer.write(before)
        await reader.readuntil(b"\r\n\r\n")
    writer.write(sent)
    try:
        async with asyncio.timeout(4):  # less than the time that uvicorn gives between two requests
            while await reader.read(1000):
                continue
    except ConnectionResetError:
        pass
    writer.close()


async def test_a_body_that_does_not_come_is_waited_for_no_longer(
    there: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(patience, "REQUEST_LIMIT", 0.3)
    operator = await there.login(Role.OPERATOR)
    slow = Slow(there)
    await slow.begin("PATCH", "/backends/x", b"{}", operator.headers["authorization"])
    assert await slow.is_cut_off()
    slow.close()
    assert (await operator.get("/me")).status_code == 200
    assert "Traceback" not in caplog.text


async def test_an_answer_that_takes_longer_than_a_request_may_is_given(
    there: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "REQUEST_LIMIT", 0.3)
    operator = await there.login(Role.OPERATOR)
    async with there.agent(lambda *_: None, "web-1") as agent:
        asking = asyncio.create_task(operator.post("/backends/web-1/processes", json={"cmd": ["x"]}))
        while not agent.asked:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.6)
        await agent.answer({"result": "success", "proc_id": 7})
        assert (await asking).status_code == 201


async def test_who_is_nobody_yet_may_send_no_more_than_a_password(there: Place) -> None:
    answer = await there.web.post(f"{API}/login", json={"username": "op", "password": "x" * 2**14})
    assert (answer.status_code, answer.json()["reason"]) == (413, "body_too_large")
    longest = json.dumps({"username": "o" * 64, "password": "\N{GRINNING FACE}" * 1024})
    answer = await there.web.post(f"{API}/login", content=longest, headers={"Content-Type": "application/json"})
    assert answer.json()["reason"] == "password_invalid"


@pytest.mark.parametrize("how", ["the user is removed", "the labels are others"])
async def test_a_stream_of_output_ends_where_the_right_to_it_does(
    there: Place, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(runs, "_CHECK", 0.1)
    viewer, admin = await there.login(Role.VIEWER), await there.login(Role.ADMIN)

    def writes(req: str, msg: Any) -> Any:
        if req != "read_output":
            return machine(req, msg)
        state = {"run": msg["run"], "state": "running", "proc_id": 7, "started_at": 1.0, "stdout": msg["stdout"] + 3}
        chunk = {"stream": "stdout", "offset": msg["stdout"], "data": "c2VjcmV0"[:4]}
        return {"result": "success", "state": state, "chunks": [chunk]}

    async with there.agent(writes, "web-1", process=1):
        run = (await admin.post("/backends/web-1/processes", json={"cmd": ["x"]})).json()["run_id"]
        async with asyncio.timeout(20), viewer.stream("GET", f"/backends/web-1/runs/{run}/output/events") as stream:
            lines = stream.aiter_lines()
            while "data" not in await anext(lines):
                continue
            if how == "the user is removed":
                assert (await admin.delete("/users/watch")).status_code == 204
            else:
                assert (await admin.patch("/users/watch", json={"labels": {"site": "south"}})).status_code == 200
            events = [line async for line in lines if line.startswith("event: ")]
    assert "event: end" not in events


async def test_the_cookie_alone_changes_nothing_by_a_get(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    state = {"state": "running", "proc_id": 7, "started_at": 1.0}

    def reads(req: str, msg: Any) -> Any:
        if req != "read_output":
            return machine(req, msg)
        return {"result": "success", "state": {**state, "run": msg["run"]}, "chunks": []}

    async with there.agent(reads, "web-1", process=1) as agent:
        run = (await operator.post("/backends/web-1/processes", json={"cmd": ["x"]})).json()["run_id"]
        path = f"/backends/web-1/runs/{run}/output"
        browser = await there.bearer("")
        del browser.headers["authorization"]
        token = operator.headers["authorization"].removeprefix("Bearer ")
        browser.cookies.set("quix-login", token)
        for name in ("acknowledge", "unattended"):
            before = len(agent.asked)
            answer = await browser.get(path, params={name: "true"})
            assert (answer.status_code, answer.json()["reason"]) == (401, "not_authenticated")
            assert len(agent.asked) == before
            answer = await browser.get(path, params={name: "true"}, headers={"X-Quix-Console": "1"})
            assert answer.status_code == 200
        assert (await browser.get(path)).status_code == 200


@pytest.mark.parametrize("place_", ["1", "1.", "x.y", "1.2.3", f"{'9' * 5000}.0", "-1.0", "1.٣"])
async def test_what_is_no_place_in_the_output(there: Place, place_: str) -> None:
    operator = await there.login(Role.OPERATOR)
    async with there.agent(machine, "web-1", process=1):
        run = (await operator.post("/backends/web-1/processes", json={"cmd": ["x"]})).json()["run_id"]
        headers = {"Last-Event-ID": place_.encode()}
        answer = await operator.get(f"/backends/web-1/runs/{run}/output/events", headers=headers)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["reason"]) == (400, "request_invalid")
