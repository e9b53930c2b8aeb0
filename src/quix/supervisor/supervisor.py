"""The supervisor put together: what it is asked, and when it ends."""

from __future__ import annotations

import os
import signal
import time
import traceback
from _operator import _compare_digest  # what hmac.compare_digest is; hmac itself loads OpenSSL
from functools import partial
from typing import Any, Final

import msgspec

from quix import __version__, notify
from quix.exits import Exit, QuixError
from quix.supervisor import kernel, log, protocol
from quix.supervisor import layout as folders
from quix.supervisor.account import Owner, resolve_agent
from quix.supervisor.calls import Calls
from quix.supervisor.cgroups import Cgroups
from quix.supervisor.fdstore import AgentKeeper, FdStore
from quix.supervisor.layout import Layout
from quix.supervisor.listener import Connection, Listener
from quix.supervisor.loop import READ, Loop
from quix.supervisor.policy import Policy
from quix.supervisor.policy_file import PolicyFile
from quix.supervisor.protocol import Call, Hello, Keep, Read, Retire, Welcome, Written
from quix.supervisor.reads import Reads
from quix.supervisor.runs import Runs
from quix.supervisor.sandbox import Sandbox
from quix.supervisor.settings import SupervisorSettings
from quix.supervisor.takeover import Takeover
from quix.wire.reasons import Reason, Refusal
from quix.wire.runs import RunState

IDLE_LIMIT: Final = 60.0
"""Seconds without a program and without an agent after which a supervisor ends by itself."""

_WATCHED: Final = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)
_HARMLESS: Final = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that come with an error on the write that caused them, which is enough."""


class BusyError(Exception):
    """Another supervisor serves the data folder."""


class Supervisor:
    """One data folder's supervisor, from the lock to the end. Programs outlive it."""

    def __init__(self, settings: SupervisorSettings, store: FdStore) -> None:
        """Take the data folder over, and what the service manager kept.

        Raises:
            BusyError: another supervisor has it.
            QuixError: the settings cannot be used.
        """
        self._settings = settings
        self._layout = Layout(settings.data_dir)
        self._sandbox = Sandbox(settings)
        agent = resolve_agent(settings.agent_user, self._sandbox.account)
        self._layout.prepare_supervisor(agent)
        self._lock = folders.lock(self._layout)
        if self._lock is None:
            raise BusyError
        self._layout.prepare(self._sandbox.account, agent)
        self._loop = Loop()
        self._idle_since = time.monotonic()
        self._key = os.urandom(32).hex()
        self._policy = self._policy_file()
        try:
            self._write_key(agent)
            self._cgroups = Cgroups(settings.data_dir)
            self._runs = Runs(self._layout, self._sandbox, self._cgroups, self._owner, store, self._loop)
            self._reads = Reads(self._runs.register, self._loop)
            self._calls = Calls(self._runs, self._owner)
            self._runs.wrote = self._reads.wrote
            Takeover(self._runs, store, self._loop).run()
            self._watch_signals()
            self._listener = Listener(self._layout.socket, self._loop, self._line, agent)
            self._runs.changed = self._notify
        except (OSError, Refusal) as error:
            raise QuixError(f"data_dir: {settings.data_dir}: {error}", Exit.CONFIG) from error

    def run(self) -> None:
        """Serve until told to end, or, unless it is a service, until there has been nothing to do for `IDLE_LIMIT`."""
        log.event("info", "ready", pid=os.getpid(), settings=self._settings.identity)
        for sentence in self._sandbox.describe().not_held:
            log.event("info", "not held by the sandbox", what=sentence)
        _tell("READY=1")
        self._loop.run(self._tick)
        _tell("STOPPING=1")
        log.event("info", "ending; programs go on", programs=len(self._runs.register))
        # In this order, so that whoever sees a connection end finds the folder free.
        self._layout.key.unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
        self._listener.close()
        self._loop.close()

    def _tick(self) -> float | None:
        if self._settings.service or len(self._runs.register) or self._listener.connections:
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

    def _write_key(self, agent: Owner | None) -> None:
        temporary = self._layout.key.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(self._key)
            if agent is not None:
                os.fchown(descriptor, agent.uid, agent.gid)
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
            answer: Any = self._welcome(connection, ask)
        elif not connection.is_greeted:
            raise Refusal(Reason.NOT_AUTHENTICATED, "the key must be shown first")
        elif isinstance(ask, Read):
            self._owner().check("execute")
            self._reads.read(ask, partial(self._written, connection, call.id))
            return
        elif isinstance(ask, Keep):
            self._keep_by(connection)
            answer = None
        elif isinstance(ask, Retire):
            self._retire()
            answer = None
        else:
            answer = self._calls.answer(ask)
        connection.send(protocol.encode_answer(call.id, answer))

    @staticmethod
    def _written(connection: Connection, number: int, answer: Written | Refusal) -> None:
        if isinstance(answer, Refusal):
            connection.send(protocol.encode_refusal(number, answer))
        else:
            connection.send(protocol.encode_answer(number, answer))

    def _policy_file(self) -> PolicyFile:
        settings = self._settings
        return PolicyFile(settings.policy, settings.data_dir, settings.allow, log.event)

    def _owner(self) -> Policy:
        """What the machine's owner allows at this moment; at most as many programs as the settings do."""
        policy = self._policy.current
        most = self._settings.max_programs
        fewer = most if policy.max_programs is None else min(most, policy.max_programs)
        return msgspec.structs.replace(policy, max_programs=fewer)

    def _keep_by(self, connection: Connection) -> None:
        # What can read a program's output and write its input is not for an agent without rights.
        if self._settings.service:
            raise Refusal(Reason.PERMISSION_DENIED, "this supervisor is a service, and has its service manager keep it")
        self._runs.keep_by(AgentKeeper(connection))

    def _retire(self) -> None:
        if self._settings.service:
            raise Refusal(Reason.PERMISSION_DENIED, "this supervisor is a service; its owner ends it")
        self._loop.stop()

    def _notify(self, state: RunState) -> None:
        for connection in tuple(self._listener.connections):
            if connection.is_greeted:
                connection.send(protocol.encode_notice(state))

    def _welcome(self, connection: Connection, hello: Hello) -> Welcome:
        if not _compare_digest(hello.key.encode(), self._key.encode()):
            raise Refusal(Reason.TOKEN_INVALID, "the key is not this supervisor's")
        connection.is_greeted = True
        # A file in one of the usual places that is gone denies everything, until whoever took it away restarts the
        # agent.
        self._policy = self._policy_file()
        return Welcome(
            pid=os.getpid(),
            matches=hello.identity == self._settings.identity,
            sandbox=self._sandbox.describe(),
            version=__version__,
            is_service=self._settings.service,
        )


def _tell(fact: str) -> None:
    """Tell the service manager, where one started this process."""
    if obstacle := notify.tell(fact):
        log.event("warning", "the service manager could not be told", fact=fact, error=obstacle)
