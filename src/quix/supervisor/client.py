"""The agent's side of the supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET, Raw
from msgspec.json import Decoder

from quix import __version__, logs
from quix.exits import Exit, QuixError
from quix.supervisor import protocol
from quix.supervisor.keeper import Keeper
from quix.supervisor.launch import launch
from quix.supervisor.layout import Layout
from quix.supervisor.protocol import (
    Acknowledge,
    Ask,
    Hello,
    ListPorts,
    ListRuns,
    ListStates,
    Read,
    Resize,
    Retire,
    Signal,
    SignalMode,
    Spawn,
    Welcome,
    Write,
)
from quix.supervisor.run import Run
from quix.supervisor.sandbox import Description
from quix.supervisor.settings import SupervisorSettings
from quix.wire.reasons import Reason, Refusal
from quix.wire.runs import RunOptions, RunState

__all__ = ["SupervisorClient"]

A = TypeVar("A")

log = logs.get(__name__)

_FIND_LIMIT: Final = 30.0
_HELLO_LIMIT: Final = 10.0
_WAIT_LIMIT: Final = 10.0
_ATTEMPTS: Final = 5
_RETRY: Final = 1.0
_SERVICE_RETRY: Final = 0.2
_PAUSE: Final = 0.05

_UPGRADE: Final = "restart quix-supervisor.service to upgrade it"

_WELCOME: Final = Decoder(Welcome)
_RUN: Final = Decoder(Run)
_RUNS: Final = Decoder(list[Run])
_PORTS: Final = Decoder(dict[str, list[int]])
_STATES: Final = Decoder(list[RunState])
_COUNT: Final = Decoder(int)
_RAW: Final = Decoder(Raw)
_NOTHING: Final = Decoder(None)

_PLAIN: Final = RunOptions()


class _LostError(Exception):
    """The connection ended before the supervisor replied."""


class SupervisorClient:
    """A supervisor that is there: where it ends, the next one is started, and finds the programs of the last.

    Where the data folder has a supervisor that is a service (`quix supervisor`), it is called and never started nor
    replaced; while it is away, calls are refused with UNAVAILABLE.

    Attributes:
        is_service: whether the supervisor is one.
        pid: of the supervisor that was connected last.
        sandbox: what its sandbox holds and what it does not.
        told: called with each new state of a run with a key.
        returned: called when a supervisor is there again, and may not have told all.
    """

    pid = 0
    sandbox = Description([], [])
    is_service = False

    def __init__(self, settings: SupervisorSettings) -> None:
        self.told: Callable[[RunState], None] = lambda _state: None
        self.returned: Callable[[], None] = lambda: None
        self._settings = settings
        self._layout = Layout(settings.data_dir)
        self._waiting: dict[int, asyncio.Future[Raw]] = {}
        self._last = 0
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._connected = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._keeper = Keeper()
        self._launched: set[int] = set()
        self._obstacle = ""

    @classmethod
    async def start_or_find(cls, settings: SupervisorSettings) -> SupervisorClient:
        """Connect to the supervisor of a data folder, started first where there is none.

        One of another build or with other settings is asked to make room; its programs go on under the new one. One
        that is a service is waited for in the background, and its settings are its own.

        Raises:
            QuixError: it cannot be started, or does not answer.
        """
        client = cls(settings)
        client.is_service = client._layout.has_service
        if not client.is_service:
            await client._connect()
        client._reading = asyncio.create_task(client._keep())
        return client

    async def close(self) -> None:
        """Leave the supervisor, which goes on."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._disconnect()
        self._keeper.close()
        self._reap()

    async def end(self) -> None:
        """Kill every program and have the supervisor end too: nothing of this data folder runs afterwards."""
        for run in await self.runs():
            with contextlib.suppress(Refusal):  # it ended by itself
                await self.signal(run.pid, "SIGKILL")
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._reader is not None:
            await self._retire(self._reader)

    # -- calls ----------------------------------------------------------------------------------

    async def spawn(self, cmd: list[str], options: RunOptions = _PLAIN, key: str | None = None) -> Run:
        """Start a program; the same key never starts a second one.

        Raises:
            Refusal: it was not started. Where the supervisor ended in between, and there is no key by which to ask
                again, whether it was is unknown, and the detail says so.
        """
        try:
            return await self._call(Spawn(cmd, options, key), _RUN)
        except _LostError:
            if key is not None:
                # It may run: that there is no supervisor for a while is no refusal any more.
                return await self._insist(Spawn(cmd, options, key), _RUN, for_ever=True)
            raise Refusal(
                Reason.SPAWN_FAILED, "the supervisor ended meanwhile; view_running tells whether the program runs"
            ) from None

    async def ports(self) -> dict[str, list[int]]:
        """Return the ports that each program that runs holds, by the run's id. Raises Refusal(UNAVAILABLE)."""
        return await self._insist(ListPorts(), _PORTS)

    async def states(self) -> list[RunState]:
        """Return how each run with a key is whose end is not acknowledged. Raises Refusal(UNAVAILABLE)."""
        return await self._insist(ListStates(), _STATES)

    async def read(self, ask: Read) -> Raw:
        """Return what a run wrote, a `Written` as it travels. Raises Refusal."""
        return await self._insist(ask, _RAW)

    async def write(self, ask: Write) -> int:
        """Give a run input; return how many bytes it was given so far. Raises Refusal."""
        return await self._insist(ask, _COUNT)

    async def resize(self, ask: Resize) -> None:
        """Tell a run's terminal its size. Raises Refusal."""
        await self._insist(ask, _NOTHING)

    async def acknowledge(self, run: str) -> None:
        """Whoever asked for a run knows how it ended. Raises Refusal."""
        await self._insist(Acknowledge(run), _NOTHING)

    async def runs(self) -> list[Run]:
        """Return the programs that run, oldest first. Raises Refusal(UNAVAILABLE)."""
        return await self._insist(ListRuns(), _RUNS)

    async def signal(self, pid: int, mode: SignalMode, run: str | None = None) -> None:
        """Signal a program, named by its pid or its run.

        Raises:
            Refusal: PID_UNKNOWN, RUN_UNKNOWN, or UNAVAILABLE where whether it was signalled is unknown.
        """
        try:
            await self._call(Signal(pid, mode, run), _NOTHING)
        except _LostError:
            raise Refusal(Reason.UNAVAILABLE, "the supervisor ended meanwhile; view_running tells what runs") from None

    async def _insist(self, ask: Ask, decoder: Decoder[A], *, for_ever: bool = False) -> A:
        """Call, and again where the supervisor ended, for what may be asked more than once; wait `for_ever` for one."""
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(_LostError):
                return await self._call(ask, decoder, for_ever=for_ever)
        raise Refusal(Reason.UNAVAILABLE, "one supervisor after the other ended")

    async def _call(self, ask: Ask, decoder: Decoder[A], *, for_ever: bool = False) -> A:
        try:
            async with asyncio.timeout(None if for_ever else _WAIT_LIMIT):
                await self._connected.wait()
        except TimeoutError:
            raise Refusal(Reason.UNAVAILABLE, f"there is no supervisor; {self._log} may say why") from None
        return decoder.decode(await self._send(ask))

    def _send(self, ask: Ask) -> asyncio.Future[Raw]:
        if self._writer is None:
            raise _LostError
        self._last += 1
        future: asyncio.Future[Raw] = asyncio.get_running_loop().create_future()
        self._waiting[self._last] = future
        self._writer.write(protocol.encode_call(self._last, ask))
        return future

    # -- the connection -------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Read replies; where the connection ends, make another."""
        loop = asyncio.get_running_loop()
        while True:
            since = loop.time()
            if self._reader is not None:
                await self._read(self._reader)
                await self._disconnect()
                log.warning("the supervisor ended")
                if loop.time() - since < _RETRY:  # one that ends at once must not be started at full speed
                    await asyncio.sleep(_RETRY)
            while self._writer is None:
                try:
                    await self._connect()
                except QuixError as error:
                    log.error("no supervisor", error=str(error))  # noqa: TRY400 - the message says it all
                    await asyncio.sleep(_RETRY)
                else:
                    self.returned()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                self._resolve(line)
        except (OSError, ValueError, msgspec.DecodeError) as error:
            log.warning("the supervisor's connection failed", error=str(error))

    def _resolve(self, line: bytes) -> None:
        reply = protocol.decode_reply(line)
        if reply.notice is not UNSET:
            self.told(reply.notice)
            return
        future = self._waiting.pop(reply.id, None)
        if future is None or future.done():  # its caller gave up
            return
        refusal = protocol.refusal(reply)
        if refusal is not None:
            future.set_exception(refusal)
        elif reply.answer is not UNSET:
            future.set_result(reply.answer)

    async def _disconnect(self) -> None:
        self._connected.clear()
        writer, self._writer, self._reader = self._writer, None, None
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(_LostError())
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    @property
    def _log(self) -> str:
        return "`journalctl -u quix-supervisor`" if self.is_service else str(self._layout.log)

    async def _connect(self) -> None:
        """Find a supervisor that is as it should be, or start it. Raises QuixError."""
        if self.is_service:
            await self._await_service()
        else:
            await self._find_or_launch()
        self._connected.set()

    async def _await_service(self) -> None:
        obstacle = ""
        while not await self._greet():
            if self._obstacle != obstacle:
                obstacle = self._obstacle
                log.warning("waiting for the supervisor, which is a service", obstacle=obstacle)
            await asyncio.sleep(_SERVICE_RETRY)
        log.info("the supervisor is there, a service", pid=self.pid, not_held=self.sandbox.not_held)

    async def _find_or_launch(self) -> None:
        try:
            async with asyncio.timeout(_FIND_LIMIT):
                while not await self._greet():
                    await self._launch()
        except TimeoutError:
            await self._disconnect()
            raise QuixError(f"supervisor: it does not answer; {self._log} may say why", Exit.UNAVAILABLE) from None

    async def _launch(self) -> None:
        self._reap()
        pid, started = await launch(self._settings, await self._keeper.kept())
        self._launched.add(pid)
        if started.state == "failed":
            raise QuixError(started.detail, Exit(started.code))
        if started.state == "busy":  # it is on its way, in or out
            await asyncio.sleep(_PAUSE)

    def _reap(self) -> None:
        """Wait for supervisors of ours that have ended, so that none stays a zombie."""
        for pid in tuple(self._launched):
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0] == 0:
                    continue
            self._launched.discard(pid)

    async def _greet(self) -> bool:
        """Connect and show the key; return whether a supervisor that is as it should be was there."""
        try:
            key = self._layout.key.read_text()
            self._reader, self._writer = await self._open()
            async with asyncio.timeout(_HELLO_LIMIT):
                welcome = await self._hello(key)
                if not welcome.is_service:
                    await self._keeper.attach(self._connected_socket(), Hello(key, self._settings.identity))
                if welcome.matches or welcome.is_service:
                    self._found(welcome)
                    return True
                await self._retire(self._reader)
        except (OSError, _LostError) as error:  # there is none, or it was on its way out
            self._obstacle = str(error) or "it does not answer"
        except Refusal as refusal:
            self._obstacle = refusal.detail
            log.info("the supervisor changed meanwhile", detail=refusal.detail)
        except msgspec.DecodeError as error:
            self._obstacle = f"it is of a version that this one does not understand; {_UPGRADE} ({error})"
        await self._disconnect()
        return False

    def _found(self, welcome: Welcome) -> None:
        self.pid, self.sandbox = welcome.pid, welcome.sandbox
        self.is_service = self.is_service or welcome.is_service
        if welcome.is_service and welcome.version != __version__:
            log.warning(
                "the supervisor is of another version", supervisor=welcome.version, agent=__version__, remedy=_UPGRADE
            )

    async def _hello(self, key: str) -> Welcome:
        return _WELCOME.decode(await self._direct(Hello(key, self._settings.identity)))

    async def _retire(self, reader: asyncio.StreamReader) -> None:
        log.info("another build or other settings: the supervisor makes room, programs go on")
        await self._direct(Retire())
        await reader.read()

    async def _direct(self, ask: Ask) -> Raw:
        """Call while nobody else reads the connection."""
        future = self._send(ask)
        while self._reader is not None and not future.done() and (line := await self._reader.readline()):
            self._resolve(line)
        if not future.done():
            future.cancel()
            raise _LostError
        return future.result()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(sock=self._connected_socket(), limit=protocol.MAX_LINE)

    def _connected_socket(self) -> socket.socket:
        """Return a socket that is connected to the supervisor. Raises OSError."""
        # Through the folder's descriptor: a socket's own path may have 107 bytes only (unix(7)).
        folder = os.open(self._layout.supervisor, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        connected = socket.socket(socket.AF_UNIX)
        try:
            connected.setblocking(False)
            connected.connect(f"/proc/self/fd/{folder}/{self._layout.socket.name}")
        except BaseException:
            connected.close()
            raise
        finally:
            os.close(folder)
        return connected
