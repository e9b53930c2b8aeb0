"""A WebSocket client down to its frames (RFC 6455 section 5), for what no library would send."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import socket
import struct
import time
from typing import Any, Self

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0


class CutError(Exception):
    """The connection ended without a close frame."""


class RawSocket:
    """One connection; blocking, with a time limit on everything."""

    def __init__(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        path: str = "/wsi",
        upgrade: bool = True,
        protocol: str = "",
        patience: float = 20,
    ) -> None:
        self.sock = socket.create_connection((host, port), timeout=patience)
        self._buffer = b""
        self._rid = 0
        if upgrade:
            self.upgrade(path, protocol)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def upgrade(self, path: str = "/wsi", protocol: str = "") -> str:
        """Send the request of the opening handshake, offering a subprotocol; return the answer's status line."""
        offer = f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else ""
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: quix\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n".encode()
        )
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head.partition(b"\r\n")[0].decode()

    # -- sending --------------------------------------------------------------------------------

    def frame(self, opcode: int, payload: bytes, *, fin: bool = True, reserved: int = 0) -> bytes:
        """Return the bytes of a frame as a client sends it: masked."""
        mask = os.urandom(4)
        size = len(payload)
        head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 2**16:
            head += bytes([0x80 | 126]) + struct.pack("!H", size)
        else:
            head += bytes([0x80 | 127]) + struct.pack("!Q", size)
        stretched = (mask * (size // 4 + 1))[:size]
        masked = (int.from_bytes(payload, "big") ^ int.from_bytes(stretched, "big")).to_bytes(size, "big")
        return head + mask + masked

    def send(self, opcode: int, payload: bytes, *, fin: bool = True, reserved: int = 0) -> None:
        self.sock.sendall(self.frame(opcode, payload, fin=fin, reserved=reserved))

    def send_text(self, text: str | bytes) -> None:
        self.send(TEXT, text.encode() if isinstance(text, str) else text)

    def request(self, req: str, msg: Any, rid: int | None = None, **envelope: Any) -> int:
        """Send a request; return its rid."""
        if rid is None:
            self._rid += 1
            rid = self._rid
        self.send_text(json.dumps({**envelope, "req": req, "rid": rid, "msg": msg}))
        return rid

    def abort(self) -> None:
        """End the connection as a process does that is killed."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    # -- receiving ------------------------------------------------------------------------------

    def receive_frame(self) -> tuple[int, bytes]:
        """Return the opcode and payload of the next frame."""
        first, second = self._take(2)
        assert first & 0x80, "the server sends whole messages"
        size = second & 0x7F
        if size == 126:
            size = struct.unpack("!H", self._take(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self._take(8))[0]
        return first & 0x0F, self._take(size)

    def receive(self) -> Any:
        """Return the next message; a close is an error."""
        while True:
            opcode, payload = self.receive_frame()
            if opcode == TEXT:
                return json.loads(payload)
            assert opcode != CLOSE, f"closed: {payload!r}"
            if opcode == PING:
                self.send(PONG, payload)

    def closed(self) -> tuple[int, str]:
        """Wait for the close frame; return its code and reason."""
        while True:
            opcode, payload = self.receive_frame()
            if opcode == CLOSE:
                return struct.unpack("!H", payload[:2])[0], payload[2:].decode()

    def closes_within(self, seconds: float) -> float:
        """Wait until the other side has ended the connection in any way; return the seconds it took."""
        began = time.monotonic()
        self.sock.settimeout(seconds)
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionError:
            pass
        return time.monotonic() - began

    def can_read(self) -> bool:
        """Whether something is there to be read without waiting."""
        return bool(self._buffer) or bool(select.select([self.sock], [], [], 0)[0])

    def ask(self, req: str, msg: Any, **envelope: Any) -> Any:
        """Send a request and return the `msg` of its answer."""
        rid = self.request(req, msg, **envelope)
        answer = self.receive()
        assert answer["rid"] == rid, answer
        return answer["msg"]

    def enrol(self, username: str = "gate", password: str = "correct horse") -> str:
        """Become a new backend; return the token."""
        answer = self.ask("authenticate", {"username": username, "password": password}, auth=None)
        assert answer["success"] is True, answer
        token: str = answer["token"]
        return token

    def resume(self, token: str) -> Any:
        return self.ask("authenticate", {}, auth=token)

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _fill(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise CutError
        self._buffer += data
