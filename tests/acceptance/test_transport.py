"""What a peer may do to the connection itself, and what the server makes of it."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from acceptance.house import House, Rest, Server, until
from acceptance.raw import BINARY, CONTINUATION, PING, PONG, TEXT, CutError, RawSocket
from harness.server import PASSWORD, free_port
from peers import page
from peers.seed_server import SeedServer

ANSWER = {"result": "failure", "reason": "request_unknown"}


@pytest.fixture
def backend(shared: Server) -> Iterator[RawSocket]:
    """A connection that is authenticated."""
    with RawSocket(shared.port) as backend:
        backend.enrol()
        yield backend


@pytest.fixture
def stranger(shared: Server) -> Iterator[RawSocket]:
    """A connection that is not."""
    with RawSocket(shared.port) as stranger:
        yield stranger


def is_served(backend: RawSocket) -> bool:
    return bool(backend.ask("unheard_of", {}) == ANSWER)


# -- the upgrade --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/wsi", "/", "/wsi?x=1"])
def test_agents_are_taken_on_two_paths(shared: Server, path: str) -> None:
    with RawSocket(shared.port, path=path) as backend:
        backend.enrol()


def test_other_paths_are_not_found(shared: Server) -> None:
    with RawSocket(shared.port, upgrade=False) as backend:
        assert backend.upgrade("/api").startswith("HTTP/1.1 404")


@pytest.mark.parametrize(
    "request_text",
    ["GET /wsi HTTP/1.1\r\nHost: quix\r\n\r\n", "POST /wsi HTTP/1.1\r\nHost: quix\r\nContent-Length: 0\r\n\r\n",
     "\r\n\r\n", "nonsense\r\n\r\n", "GET /wsi HTTP/1.1\r\n" + "X: y\r\n" * 10000 + "\r\n"],
)  # fmt: skip
def test_what_is_no_upgrade_is_turned_away(shared: Server, request_text: str) -> None:
    with RawSocket(shared.port, upgrade=False, patience=15) as backend:
        backend.sock.sendall(request_text.encode())
        first = b""
        with pytest.raises((CutError, ConnectionError)):
            while True:
                first += backend._take(1)
        assert b" 101 " not in first.partition(b"\r\n")[0]


# -- close codes --------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["backend", "stranger"])
@pytest.mark.parametrize(
    ("opcode", "payload", "code"),
    [(BINARY, b"{}", 1003), (TEXT, b'{"rid":1,"msg":"\xff"}', 1007), (TEXT, b'{"rid":1,"msg":"\xed\xa0\x80"}', 1007),
     (3, b"{}", 1002), (11, b"", 1002)],
)  # fmt: skip
def test_what_the_protocol_forbids_closes_with_its_code(
    request: pytest.FixtureRequest, who: str, opcode: int, payload: bytes, code: int
) -> None:
    connection: RawSocket = request.getfixturevalue(who)
    connection.send(opcode, payload)
    closed, reason = connection.closed()
    assert closed == code
    assert reason


def test_a_reserved_bit_closes_with_1002(backend: RawSocket) -> None:
    backend.send(TEXT, b"{}", reserved=4)
    assert backend.closed()[0] == 1002


def test_the_largest_message_is_taken_and_a_larger_one_closes_with_1009(backend: RawSocket) -> None:
    frame = b'{"req":"unheard_of","rid":1,"msg":"%b"}'
    backend.send_text(frame % (b"x" * (2**20 - len(frame) + 2)))
    assert backend.receive()["msg"] == ANSWER
    backend.send_text(frame % (b"x" * (2**20 - len(frame) + 3)))
    code, reason = backend.closed()
    assert code == 1009
    assert reason


def test_a_frame_that_only_promises_to_be_large_is_not_waited_for(backend: RawSocket) -> None:
    backend.sock.sendall(b"\x81\xff" + (2**40).to_bytes(8, "big") + b"mask" + b"x")
    assert backend.closed()[0] == 1009


def test_fragments_may_not_add_up_to_more_than_a_message(backend: RawSocket) -> None:
    backend.send(TEXT, b'{"rid":1,"msg":"', fin=False)
    for _ in range(5):
        backend.send(CONTINUATION, b"x" * 2**18, fin=False)
    assert backend.closed()[0] == 1009


def test_ten_unreadable_messages_in_a_row_close_with_4003(backend: RawSocket) -> None:
    for _ in range(9):
        backend.send_text("}")
    backend.send_text('{"rid":1,"msg":{}}')  # this one can be read, and the row begins anew
    for _ in range(10):
        backend.send_text("}")
    answers = [backend.receive() for _ in range(19)]
    assert all(answer["rid"] is None for answer in answers)
    assert {answer["msg"]["reason"] for answer in answers} == {"message_invalid"}
    assert backend.closed()[0] == 4003


def test_a_message_that_is_too_deep_is_unreadable(backend: RawSocket) -> None:
    for payload in ("[" * 100_000, '{"req":"x","rid":1,"msg":' + "[" * 500 + "]" * 500 + "}"):
        backend.send_text(payload)
        assert backend.receive()["msg"]["reason"] == "message_invalid"
    assert is_served(backend)


# -- frames in pieces ---------------------------------------------------------------------------


def test_a_message_in_fragments_with_pings_in_between(backend: RawSocket) -> None:
    message = json.dumps({"req": "unheard_of", "rid": 77, "msg": {"text": "h\u00e9 \U0001f600"}}, ensure_ascii=False)
    data = message.encode()
    backend.send(TEXT, data[:1], fin=False)
    for i in range(1, len(data)):
        backend.send(CONTINUATION, data[i : i + 1], fin=False)
        backend.send(PING, str(i).encode())
        assert backend.receive_frame() == (PONG, str(i).encode())
    backend.send(CONTINUATION, b"", fin=True)
    assert backend.receive() == {"rid": 77, "msg": ANSWER}


@pytest.mark.parametrize("wrong", [[(CONTINUATION, True)], [(TEXT, False), (TEXT, True)]])
def test_a_fragment_out_of_place_closes_with_1002(backend: RawSocket, wrong: list[tuple[int, bool]]) -> None:
    for opcode, fin in wrong:
        backend.send(opcode, b"{}", fin=fin)
    assert backend.closed()[0] == 1002


def test_bytes_may_come_one_by_one_and_messages_all_at_once(backend: RawSocket) -> None:
    first = backend.frame(TEXT, b'{"req":"unheard_of","rid":1,"msg":{}}')
    for i in range(len(first)):
        backend.sock.sendall(first[i : i + 1])
    assert backend.receive()["rid"] == 1
    many = [backend.frame(TEXT, b'{"req":"unheard_of","rid":%d,"msg":{}}' % rid) for rid in range(500)]
    backend.sock.sendall(b"".join(many))
    assert [backend.receive()["rid"] for _ in range(500)] == [*range(500)]


def test_a_ping_is_answered_and_a_pong_is_not(backend: RawSocket) -> None:
    backend.send(PONG, b"unasked")
    backend.send(PING, b"x" * 125)
    assert backend.receive_frame() == (PONG, b"x" * 125)


# -- rids and requests in progress --------------------------------------------------------------


def test_a_response_that_nobody_waits_for_is_dropped(backend: RawSocket) -> None:
    for rid in (0, 1, 2**53 - 1):
        backend.send_text(json.dumps({"rid": rid, "msg": {"result": "success"}}))
    backend.send_text('{"rid":5}')
    backend.send_text('{"rid":null,"msg":{"result":"failure","reason":"message_invalid"}}')
    assert is_served(backend)


@pytest.mark.parametrize("rid", ["-1", "1.5", "true", '"7"', "null", str(2**53), "1" * 5000])
def test_a_request_without_a_usable_rid_is_answered_with_rid_null(backend: RawSocket, rid: str) -> None:
    backend.send_text('{"req":"execute","msg":{},"rid":' + rid + "}")
    answer = backend.receive()
    assert (answer["rid"], answer["msg"]["reason"]) == (None, "message_invalid")
    assert is_served(backend)


def authenticate(backend: RawSocket, rid: int) -> bytes:
    """A request that keeps the server busy for a while: it has a password to hash."""
    msg = {"username": "gate", "password": "correct horse"}
    return backend.frame(TEXT, json.dumps({"auth": None, "req": "authenticate", "rid": rid, "msg": msg}).encode())


def test_a_rid_in_progress_cannot_be_used_again_and_the_first_goes_on(stranger: RawSocket) -> None:
    again = stranger.frame(TEXT, b'{"req":"get_vpn_conf","rid":9,"msg":{}}')
    stranger.sock.sendall(authenticate(stranger, 9) + again)
    first, second = stranger.receive(), stranger.receive()
    assert first == {"rid": 9, "msg": {"result": "failure", "reason": "rid_in_use"}}
    assert second["msg"]["success"] is True


def test_the_server_works_on_64_requests_of_one_backend_and_refuses_more(house: House) -> None:
    """get_vpn_conf waits for the store, so that a burst of them is in progress all at once."""
    server = house.server(vpn__wireguard__enabled="true")
    with RawSocket(server.port) as backend:
        backend.enrol()
        msg = b'{"conf_type":"wireguard","tun_mode":"udp"}'
        burst = [backend.frame(TEXT, b'{"req":"get_vpn_conf","rid":%d,"msg":%b}' % (rid, msg)) for rid in range(100)]
        backend.sock.sendall(b"".join(burst))
        answers = {answer["rid"]: answer["msg"] for answer in (backend.receive() for _ in burst)}
        assert set(answers) == set(range(100))
        refused = {rid for rid, msg in answers.items() if msg == {"result": "failure", "reason": "too_many_requests"}}
        assert 1 <= len(refused) <= 36
        assert all(answers[rid]["result"] == "success" for rid in set(answers) - refused)
        # Refused is not forgotten: the same rid may be used again.
        assert backend.ask("get_vpn_conf", json.loads(msg))["result"] == "success"


async def test_our_agent_works_on_64_requests_and_refuses_more(house: House) -> None:
    port = free_port()
    async with SeedServer("127.0.0.1", port, "gate", PASSWORD) as server:
        house.agent(f"ws://127.0.0.1:{port}")
        session = await server.backend()
        rids = [await session.send("view_running", {"verb": 1}) for _ in range(100)]
        outcomes = [await session.outcome(rid, page.RUNNING) for rid in rids]
        assert set(outcomes) == {"success", "too_many_requests"}
        assert outcomes.count("success") >= 64
        assert await session.view_running() == []


def test_our_agent_is_asked_no_more_than_it_need_accept(rest: Rest, machine: str) -> None:
    """64 requests of one peer at most; who asks more is told so, and the rest is answered."""
    statuses: list[int] = []

    def ask() -> None:
        answer = rest.call("GET", f"/backends/{machine}/telemetry?stat_types=ttl_cpu_usage")
        statuses.append(answer.status_code)
        if answer.status_code != 200:
            assert (answer.status_code, answer.json()["reason"]) == (429, "too_many_requests")

    threads = [threading.Thread(target=ask) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == 100
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) >= 60


# -- peers that mean ill ------------------------------------------------------------------------


def test_a_peer_that_sends_a_byte_now_and_then_is_not_waited_for(house: House) -> None:
    """Slow loris: neither the upgrade nor the first message may be drawn out."""
    server = house.server(auth_timeout="2")
    with RawSocket(server.port, upgrade=False) as upgrading, RawSocket(server.port) as talking:
        stop = threading.Event()

        def drip() -> None:
            head = b"GET /wsi HTTP/1.1\r\nHost: quix\r\nX-Slow: "
            frame = talking.frame(TEXT, b'{"auth":null,"req":"authenticate","rid":1,"msg":{}}' + b" " * 200)
            for i in range(200):
                if stop.wait(0.1):
                    return
                for sock, data in ((upgrading.sock, head if i == 0 else b"x"), (talking.sock, frame[i : i + 1])):
                    try:
                        sock.sendall(data)
                    except OSError:
                        continue

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert talking.closes_within(6) < 6
            assert upgrading.closes_within(15) < 15
        finally:
            stop.set()
            thread.join()


def test_a_peer_that_does_not_read_is_cut_off(house: House) -> None:
    server = house.server(auth_timeout="60")
    with RawSocket(server.port, patience=60) as stranger:
        request = stranger.frame(TEXT, b'{"req":"execute","rid":1,"msg":{}}')
        with pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe, whichever comes first
            for _ in range(1_000_000):
                stranger.sock.sendall(request * 100)
    server.wait_for("does not read")
    status = Path(f"/proc/{server.pid}/status").read_text()
    resident = int(status.partition("VmRSS:")[2].split()[0])
    assert resident < 200_000, f"{resident} KB"


@contextmanager
def crowd(port: int, size: int) -> Iterator[list[socket.socket]]:
    """Sockets that are upgraded and then silent."""
    with ExitStack() as stack:
        sockets = []
        for _ in range(size):
            raw = stack.enter_context(RawSocket(port))
            sockets.append(raw.sock)
        yield sockets


def flood(port: int, stop: threading.Event) -> None:
    """Garbage as fast as it goes, over and over: bytes, messages that are no JSON, large and deep ones."""
    while not stop.is_set():
        try:
            with RawSocket(port) as raw:
                for payload in (b"[" * 2**20, b"[]," * 349_000, b'"",' * 349_000, b'{"rid":null}', b"}" * 1000):
                    raw.send_text(payload)
                raw.send_text(b"\xff" + os.urandom(1000))
                raw.closed()
        except (OSError, CutError):
            continue


def test_silent_sockets_and_floods_of_garbage_do_not_disturb_others(house: House) -> None:
    server = house.server(auth_timeout="120")
    rest = server.rest()
    agent = house.agent(server.url)
    backend = rest.wait_online()
    stop = threading.Event()
    floods = [threading.Thread(target=flood, args=(server.port, stop)) for _ in range(2)]
    with crowd(server.port, 2000) as sockets:
        for thread in floods:
            thread.start()
        try:
            times = []
            until_then = time.monotonic() + 8
            while time.monotonic() < until_then:
                began = time.monotonic()
                rest.get(f"/backends/{backend}/telemetry?stat_types=ttl_mem_usage")
                times.append(time.monotonic() - began)
        finally:
            stop.set()
            for thread in floods:
                thread.join()
        assert len(sockets) == 2000
    assert max(times) < 5, f"slowest of {len(times)} answers: {max(times):.2f} s"
    assert sorted(times)[len(times) // 2] < 1
    assert rest.online() == [backend]
    assert "connection ended" not in agent.text
    until(lambda: "quix_sockets_open 1.0" in httpx.get(f"{server.http}/metrics").text, "the crowd is gone")
