"""The supervisor put together: what it is asked, and when it ends."""

from __future__ import annotations

import os
import signal
import time
import traceback
from _operator import _compare_digest  # what hmac.compare_digest is; hmac itself loads OpenSSL
from typing import Any, Final

import msgspec

from quix.exits import Exit, QuixError
from quix.supervisor import kernel, log, protocol
from quix.supervisor import layout as folders
from quix.supervisor.layout import Layout
from quix.supervisor.listener import Connection, Listener
from quix.supervisor.loop import READ, Loop
from quix.supervisor.protocol import Call, Hello, ListRuns, Retire, Signal, Spawn, Welcome
from quix.supervisor.runs import Runs
from quix.supervisor.sandbox import Sandbox
from quix.supervisor.settings import SupervisorSettings
from quix.wire.reasons import Reason, Refusal

IDLE_LIMIT: Final = 60.0
"""Seconds without a program and without an agent after which a supervisor ends by itself."""

_WATCHED: Final = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)
_HARMLESS: Final = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that come with an error on the write that caused them, which is enough."""


class BusyError(Exception):
    """Another supervisor serves the data folder."""


class Supervisor:
    """One data folder's supervisor, from the lock to the end. Programs outlive it."""

    def __init__(self, settings: SupervisorSettings) -> None:
        """Take the data folder over.

        Raises:
            BusyError: another supervisor has it.
            QuixError: the settings cannot be used.
        """
        self._settings = settings
        self._layout = Layout(settings.data_dir)
        self._sandbox = Sandbox(settings)
        self._layout.prepare_agent()
        self._lock = folders.lock(self._layout)
        if self._lock is None:
            raise BusyError
        self._layout.prepare(self._sandbox.account)
        self._loop = Loop()
        self._idle_since = time.monotonic()
        self._key = os.urandom(32).hex()
        try:
            self._write_key()
            self._runs = Runs(self._layout, self._sandbox, settings.max_programs, self._loop)
            self._runs.adopt()
            self._watch_signals()
            self._listener = Listener(self._layout.socket, self._loop, self._line)
        except OSError as error:
            raise QuixError(f"data_dir: {settings.data_dir}: {error}", Exit.CONFIG) from error

    def run(self) -> None:
        """Serve until told to end, or until there has been nothing to do for `IDLE_LIMIT` seconds."""
        log.event("info", "ready", pid=os.getpid(), settings=self._settings.identity)
        for sentence in self._sandbox.describe().not_held:
            log.event("info", "not held by the sandbox", what=sentence)
        self._loop.run(self._tick)
        log.event("info", "ending; programs go on", programs=len(self._runs))
        # In this order, so that whoever sees a connection end finds the folder free.
        self._layout.key.unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
        self._listener.close()
        self._loop.close()

    def _tick(self) -> float | None:
        if len(self._runs) or self._listener.connections:
            self._idle_since = time.monotonic()
            return None
        left = self._idle_since + IDLE_LIMIT - time.monotonic()
        if left <= 0:
            self._loop.stop()
        return max(left, 0)

    # -- signals to the supervisor itself -------------------------------------------------------

    def _watch_signals(self) -> None:
        """Read signals from a descriptor. All keep their default action, which is what programs inherit; those that
        must not act here are blocked instead."""
        signal.pthread_sigmask(signal.SIG_SETMASK, {*_WATCHED, *_HARMLESS})
        for number in signal.valid_signals():
            if signal.getsignal(number) not in (signal.SIG_DFL, None):
                signal.signal(number, signal.SIG_DFL)
        self._signals = kernel.signal_descriptor(_WATCHED)
        self._loop.watch(self._signals, READ, self._signalled)

    def _signalled(self, _events: int) -> None:
        if kernel.read_signals(self._signals) - {signal.SIGCHLD}:
            self._loop.stop()
        self._runs.reap()

    # -- calls ----------------------------------------------------------------------------------

    def _write_key(self) -> None:
        temporary = self._layout.key.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(self._key)
        temporary.replace(self._layout.key)

    def _line(self, connection: Connection, line: bytes) -> None:
        try:
            call = protocol.decode_call(line)
        except (msgspec.DecodeError, RecursionError) as error:
            log.event("warning", "a line is no call; cut off", error=str(error)[:200])
            connection.close()
            return
        try:
            self._answer(connection, call)
        except Refusal as refusal:
            connection.send(protocol.encode_refusal(call.id, refusal))
        except Exception as error:  # noqa: BLE001 - a fault in one answer should cost that answer, and be seen
            log.event("error", "a call failed", error=repr(error), trace=traceback.format_exc())
            connection.send(protocol.encode_refusal(call.id, Refusal(Reason.INTERNAL_ERROR)))

    def _answer(self, connection: Connection, call: Call) -> None:
        ask = call.ask
        if isinstance(ask, Hello):
            self._reply(connection, call, self._welcome(connection, ask))
        elif not connection.is_greeted:
            raise Refusal(Reason.NOT_AUTHENTICATED, "the key must be shown first")
        elif isinstance(ask, Spawn):
            self._reply(connection, call, self._runs.start(ask.cmd, ask.title))
        elif isinstance(ask, ListRuns):
            self._reply(connection, call, self._runs.list())
        elif isinstance(ask, Signal):
            self._runs.signal(ask.pid, ask.mode)
            self._reply(connection, call, None)
        elif isinstance(ask, Retire):
            self._reply(connection, call, None)
            self._loop.stop()

    def _welcome(self, connection: Connection, hello: Hello) -> Welcome:
        if not _compare_digest(hello.key.encode(), self._key.encode()):
            raise Refusal(Reason.TOKEN_INVALID, "the key is not this supervisor's")
        connection.is_greeted = True
        return Welcome(
            pid=os.getpid(), matches=hello.identity == self._settings.identity, sandbox=self._sandbox.describe()
        )

    @staticmethod
    def _reply(connection: Connection, call: Call, answer: Any) -> None:
        connection.send(protocol.encode_answer(call.id, answer))
