"""What an agent keeps for the supervisors that it starts: the descriptors of programs (`quix.supervisor.fdstore`).

It comes on a connection of its own, because descriptors travel beside the bytes of a socket (unix(7), SCM_RIGHTS),
which asyncio's streams do not read.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from array import array
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import UNSET

from quix import logs
from quix.supervisor import protocol
from quix.supervisor.protocol import Hello, Keep, Kept, Reply
from quix.wire.reasons import Refusal

log = logs.get(__name__)

_LIMIT: Final = 5.0
"""Seconds for a supervisor to tell what it has, and for what one that has ended told to arrive."""

_CHUNK: Final = 2**16
_SPACE: Final = socket.CMSG_SPACE(253 * array("i").itemsize)  # SCM_MAX_FD
_HELLO, _KEEP = 1, 2


class Keeper:
    """Keeps what the supervisor tells, until the next one has told it again."""

    def __init__(self) -> None:
        self._channel: _Channel | None = None

    async def attach(self, connected: socket.socket, hello: Hello) -> None:
        """Take over a connection, which does not block, to a supervisor, and keep what that has from now on. One that
        does not answer is no reason to stop: its programs run as well."""
        channel = _Channel(connected)
        try:
            async with asyncio.timeout(_LIMIT):
                await channel.begin(hello)
        except BaseException as error:
            channel.close()
            if not isinstance(error, OSError | TimeoutError | Refusal):
                raise
            log.warning("what programs hold is not kept for the next supervisor", error=str(error) or "no answer")
            return
        self.close()
        self._channel = channel

    async def kept(self) -> list[tuple[str, int]]:
        """Return names and descriptors for the successor of a supervisor that has ended."""
        if self._channel is None:
            return []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LIMIT):
                await self._channel.over.wait()
        return [*self._channel.items()]

    def close(self) -> None:
        """Let go of everything."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None


class _Channel:
    """One supervisor's connection, and what came on it. `over`: nothing more will come."""

    def __init__(self, connected: socket.socket) -> None:
        self.over = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._told_all: asyncio.Future[None] = self._loop.create_future()
        self._socket = connected
        self._received = bytearray()
        self._descriptors: list[int] = []
        self._kept: dict[str, list[int]] = {}
        self._loop.add_reader(connected, self._read)

    async def begin(self, hello: Hello) -> None:
        """Ask for all there is, and wait for that. Raises OSError or Refusal."""
        calls = protocol.encode_call(_HELLO, hello) + protocol.encode_call(_KEEP, Keep())
        await self._loop.sock_sendall(self._socket, calls)
        await self._told_all

    def items(self) -> Iterator[tuple[str, int]]:
        for name, descriptors in self._kept.items():
            for descriptor in descriptors:
                yield name, descriptor

    def close(self) -> None:
        self._end("it was closed")
        for descriptor in (*self._descriptors, *(descriptor for _, descriptor in self.items())):
            os.close(descriptor)
        self._kept.clear()

    def _read(self) -> None:
        try:
            data, descriptors, is_whole = _receive(self._socket)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(str(error))
            return
        self._descriptors += descriptors
        if not data:
            self._end("the supervisor ended")
            return
        *lines, self._received = (self._received + data).split(b"\n")
        try:
            for line in lines:
                self._take(protocol.decode_reply(bytes(line)))
        except msgspec.DecodeError as error:
            self._end(str(error))
        if not is_whole:  # from here on, which is whose would be a guess
            self._end("the agent has as many files open as it may")

    def _take(self, reply: Reply) -> None:
        if reply.kept is not UNSET:
            self._keep(reply.kept)
        elif (refusal := protocol.refusal(reply)) is not None and not self._told_all.done():
            self._told_all.set_exception(refusal)
        elif reply.id == _KEEP and not self._told_all.done():
            self._told_all.set_result(None)

    def _keep(self, kept: Kept) -> None:
        for descriptor in self._kept.pop(kept.name, ()):
            os.close(descriptor)
        if kept.count:
            self._kept[kept.name] = self._descriptors[: kept.count]
            del self._descriptors[: kept.count]

    def _end(self, why: str) -> None:
        if self.over.is_set():
            return
        self.over.set()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        if not self._told_all.done():
            self._told_all.set_exception(ConnectionError(why))


def _receive(connected: socket.socket) -> tuple[bytes, list[int], bool]:
    """Return bytes, the descriptors beside them, and whether those are all. Raises OSError."""
    # Not `recv_fds`, which passes no flags on: programs that the agent starts would inherit what it received.
    data, ancillary, flags, _ = connected.recvmsg(_CHUNK, _SPACE, socket.MSG_CMSG_CLOEXEC)
    descriptors = array("i")
    for _level, _kind, rights in ancillary:  # of a socket without other options, only SCM_RIGHTS
        descriptors.frombytes(rights[: len(rights) - len(rights) % descriptors.itemsize])
    return data, [*descriptors], not flags & socket.MSG_CTRUNC
