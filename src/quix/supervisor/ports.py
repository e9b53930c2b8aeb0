"""Which local ports processes hold: TCP that listens, UDP that is bound.

The kernel lists sockets by inode (proc_net(5): /proc/PID/net/tcp and its like), once a network namespace; whose they
are shows in /proc/PID/fd. So each list is read once a look, however many processes are asked about.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from quix.supervisor import proc

_TABLES: Final = ("tcp", "tcp6", "udp", "udp6")
_LISTEN: Final = b"0A"  # include/net/tcp_states.h
_SOCKET: Final = "socket:["
_UNSEEN: Final = (*proc.GONE, PermissionError)


class Ports:
    """The ports of one look at the machine."""

    def __init__(self) -> None:
        self._namespaces: dict[str, dict[str, int]] = {}

    def of(self, pids: Iterable[int]) -> list[int]:
        """Return the ports that any of these processes holds, in order; those of one that has ended are left out."""
        return sorted({port for pid in pids for port in self._of_process(pid)})

    def _of_process(self, pid: int) -> list[int]:
        inodes = _socket_inodes(pid)
        if not inodes:
            return []
        ports = self._namespace(pid)
        return [ports[inode] for inode in inodes if inode in ports]

    def _namespace(self, pid: int) -> dict[str, int]:
        try:
            name = os.readlink(f"/proc/{pid}/ns/net")  # noqa: PTH115 - thousands of them
            if name not in self._namespaces:
                self._namespaces[name] = {
                    inode: port for table in _TABLES for inode, port in parse(_read(pid, table), table)
                }
        except _UNSEEN:
            return {}
        return self._namespaces[name]


def parse(data: bytes, table: str) -> Iterable[tuple[str, int]]:
    """Return inode and local port of the sockets in a table of /proc/net that listen, or are bound."""
    for line in data.splitlines()[1:]:
        fields = line.split(maxsplit=10)
        port = int(fields[1].rpartition(b":")[2], 16)
        if port and (table.startswith("udp") or fields[3] == _LISTEN):
            yield fields[9].decode(), port


def _read(pid: int, table: str) -> bytes:
    try:
        return proc.read(f"/proc/{pid}/net/{table}")
    except FileNotFoundError:
        os.stat(f"/proc/{pid}")  # noqa: PTH116 - the process has ended, or the kernel lacks IPv6
        return b""


def _socket_inodes(pid: int) -> list[str]:
    folder = f"/proc/{pid}/fd"
    found = []
    try:
        for name in os.listdir(folder):  # noqa: PTH208 - thousands of them
            target = _target(f"{folder}/{name}")
            if target.startswith(_SOCKET):
                found.append(target[len(_SOCKET) : -1])
    except _UNSEEN:
        return []
    return found


def _target(link: str) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115 - thousands of them
    except FileNotFoundError:  # closed meanwhile
        return ""
