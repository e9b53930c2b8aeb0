"""A large fleet: rows in the store of a server that does not run yet, and raw sockets for those that are online."""

from __future__ import annotations

import hashlib
import json
import secrets
import selectors
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

from acceptance.raw import PING, PONG, TEXT, CutError, RawSocket

_TELEMETRY = {
    "ttl_cpu_usage": [0.25, 0.75],
    "ttl_mem_usage": [1000, 500, 2500],
    "disk_util": {"/dev/sda": [10**9, 9 * 10**9]},
    "vpn_status": None,
}


def add_backends(database: Path, count: int, with_token: int) -> list[str]:
    """Add `count` backends to a store, and return the tokens of the first of them."""
    now = time.time()
    tokens = [secrets.token_urlsafe(32) for _ in range(with_token)]
    ids = [f"{int(now * 1e6) + number:014x}{secrets.token_hex(4)}" for number in range(count)]
    rows = [
        (each, f"machine-{number:05d}", "gate", now, now - number, f"10.{number >> 8}.{number & 255}.7", _facts(number))
        for number, each in enumerate(ids)
    ]
    digests = [hashlib.sha256(token.encode()).digest() for token in tokens]
    holders = [
        (digest, "backend", each, digest, False, now + 86400) for digest, each in zip(digests, ids, strict=False)
    ]
    with sqlite3.connect(database) as connection:
        connection.executemany(
            "INSERT INTO backends (id, name, enrolled_by, created_at, last_seen, address, facts)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        connection.executemany(
            "INSERT INTO tokens (digest, kind, subject, lineage, pending, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
            holders,
        )
    connection.close()
    return tokens


def _facts(number: int) -> str:
    site = ("berlin", "helsinki", "oslo", "home")[number % 4]
    return json.dumps(
        {
            "name": f"machine-{number:05d}",
            "hostname": f"machine-{number:05d}",
            "os": "Debian GNU/Linux 12 (bookworm)",
            "kernel": "6.12.0",
            "arch": "x86_64",
            "agent_version": "0.1.0",
            "boot_id": "b",
            "labels": {"site": site, "rack": str(number % 40)},
        }
    )


class Crowd:
    """Backends that are online and answer telemetry, all in one thread. Close it before the server."""

    def __init__(self, port: int, tokens: list[str]) -> None:
        self._selector = selectors.DefaultSelector()
        self._sockets = []
        for token in tokens:
            sock = RawSocket(port)
            assert sock.resume(token)["success"] is True
            self._selector.register(sock.sock, selectors.EVENT_READ, sock)
            self._sockets.append(sock)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._is_over.set()
        self._thread.join()
        for sock in self._sockets:
            sock.sock.close()
        self._selector.close()

    def _answer(self) -> None:
        while not self._is_over.is_set():
            self._idle()
            for key, _ in self._selector.select(0.02):
                sock: RawSocket = key.data
                try:
                    # What came with a frame is in the socket's buffer, where the selector does not see it.
                    while sock.can_read():
                        self._take(sock, *sock.receive_frame())
                except (CutError, OSError):
                    self._selector.unregister(sock.sock)

    def _idle(self) -> None:
        """What is done between messages; nothing, here."""

    def _take(self, sock: RawSocket, opcode: int, payload: bytes) -> None:
        # Frame by frame: to wait for a message after a ping would keep all others waiting.
        if opcode == PING:
            sock.send(PONG, payload)
        elif opcode == TEXT:
            self._reply(sock, json.loads(payload))

    def _reply(self, sock: RawSocket, message: dict[str, Any]) -> None:
        if message.get("req") == "telemetry":
            sock.send_text(json.dumps({"rid": message["rid"], "msg": {"tele_data": _TELEMETRY}}))
