"""Every request of an operator ends in exactly one of: the answer, or a failure that says whether it was sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from acceptance.house import House, Rest, Server
from acceptance.raw import CutError, RawSocket

Answer = Callable[[RawSocket, dict[str, Any]], None]
"""What a backend does about a request."""


class Backend:
    """A backend that does what it is told about each request, in a thread of its own.

    Attributes:
        asked: the requests that came.
    """

    def __init__(self, server: Server, answer: Answer) -> None:
        rest = server.rest()
        before = {backend["id"] for backend in rest.backends()}
        self.socket = RawSocket(server.port)
        self.token = self.socket.enrol()
        (self.id,) = {backend["id"] for backend in rest.backends()} - before
        self.asked: list[dict[str, Any]] = []
        self.answer = answer
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            while True:
                message = self.socket.receive()
                if "req" in message:  # else the server complains about an answer
                    self.asked.append(message)
                    self.answer(self.socket, message)
        except (OSError, CutError, AssertionError):
            return

    def close(self) -> None:
        self.socket.abort()
        self.thread.join()
        self.socket.sock.close()


def silent(_socket: RawSocket, _message: dict[str, Any]) -> None:
    """Leave a request alone."""


def cut(socket: RawSocket, _message: dict[str, Any]) -> None:
    socket.abort()


def says(msg: str) -> Answer:
    """Answer every request with `msg`, JSON or not."""
    return lambda socket, message: socket.send_text('{"rid":' + str(message["rid"]) + ',"msg":' + msg + "}")


@pytest.fixture(scope="module")
def server(common: House) -> Server:
    """A server that does not wait long for an answer."""
    return common.server(name="impatient", ask_timeout="1")


@pytest.fixture(scope="module")
def hasty(server: Server) -> Rest:
    """REST of that server."""
    return server.rest()


@pytest.fixture
def backend(server: Server) -> Iterator[Backend]:
    backend = Backend(server, silent)
    yield backend
    backend.close()


REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "processes", {}),
    ("POST", "processes", {"cmd": ["true"]}),
    ("POST", "processes/77/signal", {"mode": "SIGTERM"}),
    ("GET", "telemetry", {}),
]
each_request = pytest.mark.parametrize(("method", "path", "body"), REQUESTS)


def outcome(answer: httpx.Response) -> tuple[int, str]:
    assert set(answer.json()) == {"reason", "detail"}
    assert answer.json()["detail"]
    return answer.status_code, answer.json()["reason"]


@each_request
def test_a_backend_that_is_offline_is_not_asked(
    hasty: Rest, backend: Backend, method: str, path: str, body: dict[str, Any]
) -> None:
    backend.close()
    while backend.id in hasty.online():
        time.sleep(0.02)
    assert outcome(hasty.call(method, f"/backends/{backend.id}/{path}", **body)) == (409, "backend_offline")
    assert backend.asked == []


@each_request
def test_no_answer_in_time_is_a_timeout(
    hasty: Rest, backend: Backend, method: str, path: str, body: dict[str, Any]
) -> None:
    began = time.monotonic()
    assert outcome(hasty.call(method, f"/backends/{backend.id}/{path}", **body)) == (504, "timeout")
    assert 0.9 < time.monotonic() - began < 5
    time.sleep(0.3)
    assert len(backend.asked) == 1  # never twice: whether it was done is unknown


@each_request
def test_a_connection_that_ends_meanwhile_is_lost(
    hasty: Rest, backend: Backend, method: str, path: str, body: dict[str, Any]
) -> None:
    backend.answer = cut
    assert outcome(hasty.call(method, f"/backends/{backend.id}/{path}", **body)) == (502, "connection_lost")
    assert len(backend.asked) == 1


@each_request
def test_a_refusal_is_shown_with_the_backends_own_reason(
    hasty: Rest, backend: Backend, method: str, path: str, body: dict[str, Any]
) -> None:
    backend.answer = says('{"result":"failure","reason":"moon_phase"}')
    assert outcome(hasty.call(method, f"/backends/{backend.id}/{path}", **body)) == (422, "moon_phase")


@each_request
@pytest.mark.parametrize("msg", ["{}", "[[]]", "null", '{"proc_id":"1","tele_data":[]}', "[{}]"])
def test_what_is_no_answer_is_told_apart(
    hasty: Rest, backend: Backend, method: str, path: str, body: dict[str, Any], msg: str
) -> None:
    backend.answer = says(msg)
    assert outcome(hasty.call(method, f"/backends/{backend.id}/{path}", **body)) == (502, "answer_invalid")


def test_an_answer_that_is_no_json_answers_nothing(hasty: Rest, backend: Backend) -> None:
    """Nobody can tell which request it was for."""
    backend.answer = says("[}")
    assert outcome(hasty.call("GET", f"/backends/{backend.id}/processes")) == (504, "timeout")
    backend.answer = says("[]")
    assert hasty.processes(backend.id) == []


def test_an_answer_that_comes_too_late_is_dropped_and_the_next_request_has_its_own(
    hasty: Rest, backend: Backend
) -> None:
    assert hasty.call("GET", f"/backends/{backend.id}/processes").status_code == 504
    says("[]")(backend.socket, backend.asked[0])
    backend.answer = says('{"tele_data":{"ttl_mem_usage":[1,2,3]}}')
    data = hasty.get(f"/backends/{backend.id}/telemetry?stat_types=ttl_mem_usage")
    assert data == {"ttl_mem_usage": [1, 2, 3]}


def test_answers_in_another_order_find_their_callers(hasty: Rest, backend: Backend) -> None:
    held: list[dict[str, Any]] = []

    def hold(socket: RawSocket, message: dict[str, Any]) -> None:
        held.append(message)
        if len(held) < 5:
            return
        for each in reversed(held):
            pid = int(each["msg"]["cmd"][0])
            socket.send_text(json.dumps({"rid": each["rid"], "msg": {"result": "success", "proc_id": pid}}))

    backend.answer = hold
    found: dict[int, int] = {}

    def run(number: int) -> None:
        found[number] = hasty.execute(backend.id, str(number))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: number for number in range(1, 6)}


def test_one_backend_that_does_not_answer_holds_nobody_up(hasty: Rest, server: Server, backend: Backend) -> None:
    other = Backend(server, says("[]"))
    try:
        stuck = [
            threading.Thread(target=hasty.call, args=("GET", f"/backends/{backend.id}/processes")) for _ in range(5)
        ]
        for thread in stuck:
            thread.start()
        while len(backend.asked) < 5:
            time.sleep(0.01)
        assert hasty.processes(other.id) == []
        assert any(thread.is_alive() for thread in stuck)
        for thread in stuck:
            thread.join()
    finally:
        other.close()


def test_an_unknown_backend_is_not_found(hasty: Rest) -> None:
    assert outcome(hasty.call("GET", "/backends/no-such-backend/processes")) == (404, "backend_unknown")


def test_a_server_that_is_told_to_stop_ends_what_is_in_flight(house: House) -> None:
    server = house.server()
    rest = server.rest()
    backend = Backend(server, silent)
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(rest.call("GET", f"/backends/{backend.id}/processes")))
    asking.start()
    try:
        while not backend.asked:
            time.sleep(0.02)
        began = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - began < 10
        asking.join()
        assert [outcome(answer) for answer in answers] == [(502, "connection_lost")]
    finally:
        backend.close()
