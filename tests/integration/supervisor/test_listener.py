"""Who may call the supervisor, and what becomes of those who talk nonsense."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from harness.supervisor import House, until
from quix.supervisor.protocol import MAX_LINE


class Caller:
    """A raw connection."""

    def __init__(self, house: House) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(house.layout.socket))
        self.socket.settimeout(10)
        self.file = self.socket.makefile("rb")

    def call(self, number: int, **ask: Any) -> dict[str, Any]:
        self.socket.sendall(json.dumps({"id": number, "ask": ask}).encode() + b"\n")
        answer: dict[str, Any] = json.loads(self.file.readline())
        return answer

    def is_cut_off(self) -> bool:
        try:
            return self.file.readline() == b""
        except ConnectionResetError:
            return True


@pytest.fixture
async def callers(house: House) -> Iterator[list[Caller]]:  # type: ignore[misc]
    await house.client()
    made = [Caller(house), Caller(house)]
    yield made
    for caller in made:
        caller.file.close()
        caller.socket.close()


async def test_the_key_comes_first(house: House, callers: list[Caller]) -> None:
    caller = callers[0]
    for ask in ({"type": "list"}, {"type": "spawn", "cmd": ["true"]}, {"type": "retire"}):
        assert caller.call(1, **ask)["reason"] == "not_authenticated"
    assert caller.call(2, type="hello", key="0" * 64, identity="")["reason"] == "token_invalid"
    assert caller.call(3, type="hello", key="ü", identity="")["reason"] == "token_invalid"
    assert caller.call(4, type="list")["reason"] == "not_authenticated"
    key = house.layout.key.read_text()
    assert caller.call(5, type="hello", key=key, identity="other")["answer"]["matches"] is False
    assert caller.call(6, type="list") == {"id": 6, "answer": [], "detail": ""}
    assert callers[1].call(1, type="list")["reason"] == "not_authenticated", "for each connection anew"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"\xff",
        b"{}",
        b'{"id":1,"ask":{"type":"no-such"}}',
        b'{"id":"1","ask":{"type":"list"}}',
        b"[" * 100_000,
    ],
    ids=["empty", "null", "not UTF-8", "nothing", "unknown", "wrong type", "deep"],
)
async def test_nonsense_costs_the_connection_and_no_more(callers: list[Caller], line: bytes) -> None:
    callers[0].socket.sendall(line + b"\n")
    assert callers[0].is_cut_off()
    assert callers[1].call(1, type="list")["reason"] == "not_authenticated"


async def test_a_line_without_an_end_is_cut_off(callers: list[Caller]) -> None:
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        for _ in range(MAX_LINE // 2**20 + 4):
            callers[0].socket.sendall(b"x" * 2**20)
    assert callers[1].call(1, type="list")["reason"] == "not_authenticated"


async def test_who_does_not_show_the_key_is_not_waited_for(house: House, callers: list[Caller]) -> None:
    key = house.layout.key.read_text()
    assert callers[0].call(1, type="hello", key=key, identity="")["answer"]["pid"]
    callers[1].socket.sendall(b'{"id": 1, ')
    assert callers[1].is_cut_off()
    assert callers[0].call(2, type="list")["answer"] == []


async def test_a_crowd_without_the_key_keeps_nobody_out(house: House, callers: list[Caller]) -> None:
    """As a program with the agent's uid could bring it about."""
    callers[1].socket.settimeout(2)  # less than who does not show the key is given
    crowd = [Caller(house) for _ in range(40)]
    try:
        assert callers[1].is_cut_off(), "the oldest goes first"
        late = Caller(house)
        crowd.append(late)
        assert late.call(1, type="hello", key=house.layout.key.read_text(), identity="")["answer"]["pid"]
        crowd += [Caller(house) for _ in range(40)]
        assert late.call(2, type="list")["answer"] == []
    finally:
        for caller in crowd:
            caller.file.close()
            caller.socket.close()


async def test_a_greeting_is_short(callers: list[Caller]) -> None:
    callers[0].socket.settimeout(2)
    callers[0].socket.sendall(b"x" * 5000)
    assert callers[0].is_cut_off()


async def test_calls_that_come_in_pieces_and_in_heaps(house: House, callers: list[Caller]) -> None:
    caller = callers[0]
    line = json.dumps({"id": 1, "ask": {"type": "hello", "key": house.layout.key.read_text(), "identity": ""}}).encode()
    for index in range(0, len(line), 10):
        caller.socket.sendall(line[index : index + 10])
    caller.socket.sendall(b"\n" + b"".join(b'{"id":%d,"ask":{"type":"list"}}\n' % number for number in range(2, 500)))
    assert [json.loads(caller.file.readline())["id"] for _ in range(499)] == list(range(1, 500))


async def test_whoever_does_not_read_is_cut_off_and_holds_nobody_up(house: House, callers: list[Caller]) -> None:
    caller = callers[0]
    caller.call(1, type="hello", key=house.layout.key.read_text(), identity="")
    for _ in range(20):
        caller.call(2, type="spawn", cmd=["sh", "-c", "sleep 1000; :", "x" * 100_000])
    caller.socket.settimeout(0.05)
    with pytest.raises((TimeoutError, BrokenPipeError, ConnectionResetError)):
        for _ in range(10_000):
            caller.socket.sendall(b'{"id":3,"ask":{"type":"list"}}\n')
    assert callers[1].call(1, type="list")["reason"] == "not_authenticated"


@pytest.mark.root
async def test_another_user_is_turned_away_even_where_the_folder_is_open(house: House, callers: list[Caller]) -> None:
    house.layout.supervisor.chmod(0o755)
    house.layout.socket.chmod(0o666)
    script = (
        f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({str(house.layout.socket)!r}); print(s.recv(9))"
    )
    stranger = subprocess.run([sys.executable, "-c", script], user=65534, group=65534, capture_output=True, text=True)
    assert stranger.stdout in ("b''\n", ""), stranger.stderr
    await until(lambda: '"uid":65534' in house.layout.log.read_text())


async def test_the_socket_and_the_key_are_private(house: House, callers: list[Caller]) -> None:
    assert house.layout.socket.stat().st_mode & 0o777 == 0o600
    assert house.layout.key.stat().st_mode & 0o777 == 0o600
    assert house.layout.key.read_text() not in house.layout.log.read_text()
