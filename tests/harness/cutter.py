"""A wire between two programs that a test can cut: a TCP proxy that ends its connections when it is told to."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Cutter:
    """Passes connections on to a port of this machine.

    Attributes:
        port: where to connect to.
        cuts: how often a connection was cut so far.
        passed: bytes that have gone through, both ways.
    """

    def __init__(self, target: int, pick: Callable[[], int] | None = None) -> None:
        """`pick`, where given, says after how many bytes the wire is cut by itself, each time anew."""
        self._target = target
        self._pick = pick
        self._left = pick() if pick is not None else 0
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.cuts = 0
        self.passed = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pick = None
        # Ends the accept, which closing alone does not.
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()

    def cut(self) -> None:
        """End every connection at once, without a word to either side (RST)."""
        with self._lock:
            ended, self._open = self._open, set()
        self.cuts += bool(ended)
        for each in ended:
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listening.accept()
            except OSError:
                return
            try:
                there = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                here.close()
                continue
            with self._lock:
                self._open |= {here, there}
            for source, sink in ((here, there), (there, here)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(2**16):
                sink.sendall(data)
                self._count(len(data))
        except OSError:
            return
        finally:
            for each in (source, sink):
                with self._lock:
                    self._open.discard(each)
                # The other direction's thread waits in recv(2) on it, and would keep it open past a mere close.
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()

    def _count(self, amount: int) -> None:
        with self._lock:
            self.passed += amount
            self._left -= amount
            is_due = self._pick is not None and self._left <= 0
            if is_due and self._pick is not None:
                self._left = self._pick()
        if is_due:
            self.cut()


def between(low: int, high: int, seed: int) -> Callable[[], int]:
    """Return what picks a number from `low` to `high`, the same ones for the same seed."""
    chance = random.Random(seed)
    return lambda: chance.randint(low, high)
