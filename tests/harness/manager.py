"""A service manager, as far as a service talks to one: what it says (sd_notify(3)), and what is kept for it."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_KCMP: Final = 312 if os.uname().machine == "x86_64" else 272

_HAND_OVER: Final = """
import fcntl, json, os, socket, sys
with socket.socket(socket.AF_UNIX) as sock:
    sock.connect(sys.argv[1])
    text, given, _, _ = socket.recv_fds(sock, 65536, 253)
names = json.loads(text)
spare = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 300) for descriptor in given]
for place, descriptor in enumerate(spare, 3):
    os.dup2(descriptor, place)
os.closerange(3 + len(spare), 1000)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(spare)), LISTEN_FDNAMES=":".join(names))
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Manager:
    """Listens at `address`, and hands what it was given to whatever is started by `before`, as systemd does."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self._door = str(folder / "hand-over")
        self.before = [sys.executable, "-c", _HAND_OVER, self._door]
        self._heard: list[str] = []
        self._kept: dict[str, list[int]] = {}
        self._news = threading.Condition()
        self._notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._starts = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> Self:
        self._notices.bind(self.address)
        Path(self.address).chmod(0o666)
        self._starts.bind(self._door)
        self._starts.listen()
        self._threads = [threading.Thread(target=each) for each in (self._listen, self._hand_over)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ending:
            ending.sendto(b"", self.address)
        self._starts.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._notices.close()
        self._starts.close()
        for name in [*self._kept]:
            self._drop(name)

    def expect(self, fact: str) -> None:
        """Wait until something has been said."""
        with self._news:
            assert self._news.wait_for(lambda: fact in self._heard, 20), (fact, self._heard)

    def kept(self) -> dict[str, int]:
        """How many descriptors are kept, by their name."""
        with self._news:
            return {name: len(descriptors) for name, descriptors in self._kept.items()}

    def put(self, name: str, descriptor: int) -> None:
        """Keep a descriptor, which is the manager's from now on."""
        with self._news:
            self._kept.setdefault(name, []).append(descriptor)

    def _listen(self) -> None:
        while True:
            data, descriptors, _, _ = socket.recv_fds(self._notices, 65536, 253)
            if not data:
                return
            facts = dict(line.partition("=")[::2] for line in data.decode().splitlines())
            with self._news:
                self._heard.append(data.decode())
                if "FDSTORE" in facts:
                    self._keep(facts["FDNAME"], descriptors)
                elif "FDSTOREREMOVE" in facts:
                    self._drop(facts["FDNAME"])
                self._news.notify_all()

    def _keep(self, name: str, descriptors: list[int]) -> None:
        for descriptor in descriptors:
            # As systemd does: what is kept already, by whatever name, is not kept again (sd_notify(3), FDSTORE).
            if any(_is_same(descriptor, each) for kept in self._kept.values() for each in kept):
                os.close(descriptor)
            else:
                self._kept.setdefault(name, []).append(descriptor)

    def _drop(self, name: str) -> None:
        for descriptor in self._kept.pop(name, ()):
            os.close(descriptor)

    def _hand_over(self) -> None:
        while True:
            try:
                connection, _ = self._starts.accept()
            except OSError:
                return
            with connection, self._news:
                all_kept = [(name, each) for name, descriptors in self._kept.items() for each in descriptors]
                names = json.dumps([name for name, _ in all_kept]).encode()
                socket.send_fds(connection, [names], [descriptor for _, descriptor in all_kept])


def _is_same(one: int, other: int) -> bool:
    """Whether two descriptors are of one open file (kcmp(2), KCMP_FILE)."""
    own = os.getpid()
    return bool(ctypes.CDLL(None).syscall(_KCMP, own, own, 0, one, other) == 0)
