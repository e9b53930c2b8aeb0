"""The supervisor's Unix socket: lines in, lines out, for nobody but the agent's user, its own and root."""

from __future__ import annotations

import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from quix.supervisor import log
from quix.supervisor.account import Owner
from quix.supervisor.loop import READ, WRITE, Loop, Timer
from quix.supervisor.protocol import MAX_LINE

_CHUNK: Final = 2**18
_MAX_UNREAD: Final = 4 * MAX_LINE
"""Bytes of replies that may wait for an agent that does not read them, before it is cut off."""

_BACKLOG: Final = 16
_PAUSE: Final = 1.0

_MAX_GREETING: Final = 4096
_GREETING_LIMIT: Final = 5.0
_MAX_STRANGERS: Final = 16
"""What callers may send, in how many seconds, and how many there may be, before they have shown the key: a program
may have the agent's uid, and Landlock keeps nobody from connecting to a socket."""

_MAX_ENCLOSED: Final = 1024
"""Descriptors that may wait for an agent that does not take them, before it is cut off."""


class _Message:
    """Lines that wait to be sent, and copies of the descriptors that come with them."""

    def __init__(self, data: bytes, descriptors: Iterable[int]) -> None:
        """Raises OSError where there can be no further descriptor."""
        self.data = bytearray(data)
        self.descriptors: list[int] = []
        try:
            for descriptor in descriptors:
                self.descriptors.append(os.dup(descriptor))
        except OSError:
            self.close()
            raise

    def send(self, to: socket.socket) -> None:
        """Send of it what there is room for. Raises OSError."""
        if self.descriptors:
            count = socket.send_fds(to, [self.data], self.descriptors)
            self.close()
        else:
            count = to.send(self.data)
        del self.data[:count]

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()


class Connection:
    """One agent.

    Attributes:
        is_greeted: whether the agent has shown the key.
        is_open: whether it has not ended.
    """

    def __init__(self, listener: Listener, accepted: socket.socket) -> None:
        self._listener = listener
        self._socket = accepted
        self._received = bytearray()
        self._unsent: deque[_Message] = deque()
        self.is_open = True
        self.is_greeted = False

    def fileno(self) -> int:
        return self._socket.fileno()

    def ready(self, events: int) -> None:
        """The socket can be read or written."""
        if events & WRITE:
            self._flush()
        if events & READ and self.is_open:
            self._read()

    def send(self, line: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send a line, and copies of descriptors with it, now or as soon as there is room; nothing happens where the
        agent has gone. Raises OSError where a descriptor cannot be copied."""
        if not self.is_open:
            return
        if not descriptors and self._unsent:
            self._unsent[-1].data += line
        else:
            self._unsent.append(_Message(line, descriptors))
        waiting = sum(len(message.data) for message in self._unsent)
        enclosed = sum(len(message.descriptors) for message in self._unsent)
        if waiting > _MAX_UNREAD or enclosed > _MAX_ENCLOSED:
            log.event("warning", "an agent does not read its replies; cut off")
            self.close()
        else:
            self._flush()

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self._listener.closed(self)
            self._socket.close()
            for message in self._unsent:
                message.close()

    def _flush(self) -> None:
        try:
            while self._unsent:
                self._unsent[0].send(self._socket)
                if not self._unsent[0].data:
                    self._unsent.popleft()
        except BlockingIOError:
            self._listener.loop.change(self, READ | WRITE)
        except OSError:
            self.close()
        else:
            self._listener.loop.change(self, READ)

    def _read(self) -> None:
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._received += data
        if b"\n" in data:  # else it is long, and not to be looked at again and again
            *lines, rest = self._received.split(b"\n")
            self._received = rest
            for line in lines:
                if self.is_open:
                    self._listener.handle(self, bytes(line))
        if len(self._received) > (MAX_LINE if self.is_greeted else _MAX_GREETING):
            log.event("warning", "a line is longer than any call; cut off")
            self.close()

    def give_up(self) -> None:
        """Close it where the key was not shown."""
        if self.is_open and not self.is_greeted:
            log.event("warning", "a caller has not shown the key; cut off")
            self.close()


class Listener:
    """Accepts agents and hands `handle` each line they send.

    Attributes:
        connections: those that are open.
    """

    def __init__(
        self, path: Path, loop: Loop, handle: Callable[[Connection, bytes], None], agent: Owner | None = None
    ) -> None:
        """Listen on `path`, in place of whatever socket was left there; `agent` may call too, where it is another user.

        Raises:
            OSError: that fails.
        """
        self.loop = loop
        self.handle = handle
        self.connections: set[Connection] = set()
        self._strangers: list[Connection] = []
        self._pause: Timer | None = None
        self._path = path
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        _bind(self._socket, path)
        path.chmod(0o600)
        self._callers = {0, os.geteuid()}
        if agent is not None:
            os.chown(path, agent.uid, agent.gid, follow_symlinks=False)
            self._callers.add(agent.uid)
        self._socket.listen(_BACKLOG)
        self._listen()

    def close(self) -> None:
        """Take the socket away and end all connections."""
        self._path.unlink(missing_ok=True)
        if self._pause is None:
            self.loop.forget(self._socket)
        else:
            self._pause.cancel()
        self._socket.close()
        for connection in tuple(self.connections):
            connection.close()

    def closed(self, connection: Connection) -> None:
        """A connection is over."""
        self.loop.forget(connection)
        self.connections.discard(connection)

    def _listen(self) -> None:
        self._pause = None
        self.loop.watch(self._socket, READ, self._accept)

    def _accept(self, _events: int) -> None:
        try:
            accepted, _ = self._socket.accept()
        except OSError as error:
            if not isinstance(error, BlockingIOError | ConnectionAbortedError):
                log.event("warning", "an agent could not be let in", error=str(error))
                self.loop.forget(self._socket)  # it still waits, and would be tried again at once
                self._pause = self.loop.later(_PAUSE, self._listen)
            return
        uid = peer_uid(accepted)
        if uid not in self._callers:
            log.event("warning", "another user may not call the supervisor", uid=uid)
            accepted.close()
            return
        accepted.setblocking(False)
        connection = Connection(self, accepted)
        self.connections.add(connection)
        self.loop.watch(connection, READ, connection.ready)
        self._expect_greeting(connection)

    def _expect_greeting(self, connection: Connection) -> None:
        self._strangers = [each for each in self._strangers if each.is_open and not each.is_greeted]
        self._strangers.append(connection)
        if len(self._strangers) > _MAX_STRANGERS:
            self._strangers[0].give_up()
        self.loop.later(_GREETING_LIMIT, connection.give_up)


def peer_uid(connection: socket.socket) -> int:
    """Return the user who connected (unix(7), SO_PEERCRED)."""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(uid)


def _bind(listening: socket.socket, path: Path) -> None:
    """Bind through the folder's descriptor: a socket's own path may have 107 bytes only (unix(7))."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listening.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)
