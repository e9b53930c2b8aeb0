"""What other peers put on the wire, sent with another library: valid frames in odd shapes, and invalid ones."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import websockets
from picows import WSMsgType
from websockets.asyncio.client import ClientConnection, connect

from harness.link import LIMITS, Place

TELEMETRY = '{"req":"telemetry","rid":7,"msg":{"stat_types":["a"]}}'


async def closed(client: ClientConnection) -> tuple[int | None, str | None]:
    """Read to the end; return the code and reason that the other side closed with."""
    with pytest.raises(websockets.ConnectionClosed) as caught:
        async with asyncio.timeout(10):
            while True:
                await client.recv()
    received = caught.value.rcvd
    return (received.code, received.reason) if received else (None, None)


async def answer(client: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(10):
        message: dict[str, Any] = json.loads(await client.recv())
        return message


async def test_a_message_in_many_fragments_with_pings_between(place: Place) -> None:
    async with connect(place.url) as client:

        async def pieces() -> Any:
            for char in TELEMETRY:
                yield char
                await client.ping()

        await client.send(pieces())
        assert (await answer(client))["rid"] == 7


@pytest.mark.parametrize("fragmented", [False, True])
async def test_a_message_over_the_limit_closes_1009(place: Place, fragmented: bool) -> None:
    text = json.dumps({"req": "telemetry", "rid": 1, "msg": {"stat_types": ["x" * LIMITS.message_bytes]}})
    async with connect(place.url) as client:
        await client.send([text[i : i + 1000] for i in range(0, len(text), 1000)] if fragmented else text)
        assert (await closed(client))[0] == 1009


async def test_a_binary_message_closes_1003(place: Place) -> None:
    async with connect(place.url) as client:
        await client.send(TELEMETRY.encode())
        assert await closed(client) == (1003, "messages are text")


async def test_bytes_that_are_not_utf8_close_1007(place: Place) -> None:
    async with connect(place.url) as client:
        await client.send(b'{"req":"telemetry","rid":1,"msg":{"a":"\xff"}}', text=True)
        code, reason = await closed(client)
        assert (code, reason) == (1007, "not UTF-8 at byte 39")


async def test_ten_unreadable_messages_in_a_row_close_4003(place: Place) -> None:
    async with connect(place.url) as client:
        for _ in range(9):
            await client.send("{")
            assert (await answer(client))["msg"]["reason"] == "message_invalid"
        await client.send(TELEMETRY)
        assert (await answer(client))["rid"] == 7
        for _ in range(10):
            await client.send("nonsense")
            assert (await answer(client))["rid"] is None
        assert (await closed(client))[0] == 4003


async def test_a_request_of_the_wrong_shape_is_told_the_field(place: Place) -> None:
    async with connect(place.url) as client:
        await client.send('{"req":"execute","rid":1,"msg":{"cmd":["a",5]}}')
        assert await answer(client) == {
            "rid": 1,
            "msg": {"result": "failure", "reason": "request_invalid", "detail": "msg.cmd[1]: expected str, got int"},
        }


async def test_the_upgrade_is_offered_at_two_paths_and_selects_only_what_was_offered(place: Place) -> None:
    for url in (place.url, place.url.removesuffix("wsi")):
        async with connect(url) as client:
            assert client.subprotocol is None
        assert not place.may_extend
        names = [websockets.Subprotocol(name) for name in ("chat", "quix-wsi.1")]
        async with connect(url, subprotocols=names) as client:
            assert client.subprotocol == "quix-wsi.1"
        assert place.may_extend
    with pytest.raises(websockets.InvalidStatus, match="404"):
        await connect(place.url + "/other")


@asynccontextmanager
async def by_hand(place: Place) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Upgrade on a bare socket, into which the kernel takes little that nobody reads."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", int(place.url.split(":")[2].split("/")[0])))
    reader, writer = await asyncio.open_connection(sock=sock, limit=1024)
    writer.write(
        b"GET /wsi HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def frame_of(kind: int, payload: bytes) -> bytes:
    """Return a whole frame of at most 125 bytes, masked with zeros."""
    return bytes([0x80 | kind, 0x80 | len(payload)]) + b"\0\0\0\0" + payload


async def test_a_peer_that_asks_and_does_not_read_is_cut_off(place: Place) -> None:
    place.accepted = False
    frame = frame_of(1, TELEMETRY.encode())
    async with by_hand(place) as (_, writer):
        with pytest.raises(ConnectionError):
            async with asyncio.timeout(30):
                while True:
                    writer.write(frame * 500)
                    await writer.drain()
                    await asyncio.sleep(0)
        assert await place.ends[0].end() == (1006, "the peer does not read")


async def test_pings_are_not_answered_into_memory(place: Place) -> None:
    async with by_hand(place) as (reader, writer):
        for _ in range(60):
            writer.write(frame_of(9, b"x" * 125) * 2000)
            await writer.drain()
        writer.write(frame_of(1, b'{"req":"execute","rid":1,"msg":{"cmd":["x"]}}'))
        connection = place.ends[0].connection
        await place.until(lambda: bool(connection.peer._in_progress))  # all the pings came before it
        assert connection._transport is not None
        assert connection._transport.underlying_transport.get_write_buffer_size() < 200_000
        # One that reads is answered again.
        while connection._congested:
            assert await reader.read(2**16)
        writer.write(frame_of(9, b"still there?"))
        read = b""
        while b"still there?" not in read:
            data = await reader.read(2**16)
            assert data
            read = read[-100:] + data


async def test_a_peer_that_says_goodbye_and_does_not_read_is_cut_off(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quix.link.connection._CLOSE_GRACE", 0.1)
    async with by_hand(place) as (_, writer):
        connection = place.ends[0].connection
        transport = connection._transport
        assert transport is not None
        while not connection._congested:
            transport.send(WSMsgType.TEXT, b"x" * 2**16)
            await asyncio.sleep(0)
        writer.write(frame_of(8, b"\x03\xe8"))
        assert await place.ends[0].end() == (1000, "")
        await place.until(lambda: connection._transport is None)


async def test_a_close_from_the_peer_is_echoed_and_its_reason_known(place: Place) -> None:
    async with connect(place.url) as client:
        await client.close(4321, "enough")
        assert client.close_code == 4321
    assert await place.ends[0].end() == (4321, "enough")
