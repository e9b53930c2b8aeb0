"""Being attached to a run: its output here, our input there, signals passed on, and an exit like its own."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Final, TypeVar

from quix.cli.output import discard, say
from quix.cli.progress import Progress
from quix.client import ApiError, Client
from quix.client.errors import is_passing
from quix.client.follow import PATIENCE, Follower
from quix.exits import QuixError
from quix.wire.runs import Outcome, Terminal

if TYPE_CHECKING:
    from quix.wire.messages import RunOutput
    from quix.wire.runs import RunState

T = TypeVar("T")

_TIMEOUT: Final = 124
_FAILED: Final = 125
_SIGNALLED: Final = 128
_INTERRUPTED: Final = 130

PASSED_ON: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_LEAVING: Final = 3
_IN_A_ROW: Final = 2.0
"""How many Ctrl-C, within how many seconds, leave the run alone."""

_LEAVE: Final = b"\x10\x11"
"""Ctrl-P Ctrl-Q does so where every key goes to the program's terminal (as in docker attach)."""

_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0
_AT_ONCE: Final = 2**16

_NO_READER: Final = ("request_invalid", "run_unknown")
"""Why input is refused of a program that has closed it, or has just ended."""


class Trouble:
    """Says once that there is no answer, and once that there is again."""

    def __init__(self) -> None:
        self._is_told = False

    def __call__(self, error: QuixError) -> None:
        if not self._is_told:
            self._is_told = True
            say(f"quix: {str(error).rstrip('.')}; the program goes on, waiting for the connection")

    def is_over(self) -> None:
        if self._is_told:
            self._is_told = False
            say("quix: connected again")


class LeftError(Exception):
    """Whoever watches has had enough; the run goes on."""


def attend(client: Client, backend: str, run_id: str, *, follow: bool, interactive: bool, terminal: bool) -> int | None:
    """Stay with a run that has just been started; return the exit status.

    None: it is not to be followed to its end, or cannot be. Where it is left, for whatever reason, it waits for nobody
    any more, as far as that can be told to it, and is said where to find.
    """
    try:
        if not _is_kept(client, backend, run_id):
            say("quix: the program was started; the agent there keeps no output and no exit status")
            return None
        if not follow:
            return None
        return Attachment(client, backend, run_id, interactive=interactive, terminal=terminal).run()
    except BrokenPipeError:
        return _unread(client, backend, run_id)
    except QuixError as error:
        say(f"quix: {error}")
        _leave(client, backend, run_id)
        return _FAILED
    except (KeyboardInterrupt, LeftError):
        _leave(client, backend, run_id)
        return _INTERRUPTED
    except BaseException:
        _leave(client, backend, run_id)
        raise


def _is_kept(client: Client, backend: str, run_id: str) -> bool:
    """Whether the agent there keeps what the run writes. Raises QuixError."""
    trouble = Trouble()
    run = insist(lambda: client.run(backend, run_id), trouble)
    trouble.is_over()
    return run.state != "untracked"


def _leave(client: Client, backend: str, run_id: str) -> None:
    _release(client, backend, run_id)
    _say_left(backend, run_id)


def _unread(client: Client, backend: str, run_id: str) -> int:
    """Leave a run whose output nobody reads on; return the exit status."""
    status = discard(sys.stdout)
    try:
        if not _release(client, backend, run_id):
            _say_left(backend, run_id)
    except BrokenPipeError:  # as in `2>&1 | head`
        discard(sys.stderr)
    return status


def _release(client: Client, backend: str, run_id: str) -> bool:
    """Have a run wait for nobody any more; return whether it is known to have ended."""
    try:
        return client.read_output(backend, run_id, limit=1, unattended=True).state.state == "ended"
    except (QuixError, KeyboardInterrupt):  # what is said next has to do
        return False


def _say_left(backend: str, run_id: str) -> None:
    say(f"quix: left running: quix logs -f {backend} {run_id}")


def insist(ask: Callable[[], T], trouble: Callable[[QuixError], None] = lambda _error: None) -> T:
    """Ask for what may be asked twice until it is answered, with the patience that output is followed with.

    Raises:
        QuixError: the server says no, or there was no answer for too long.
    """
    deadline, pause = time.monotonic() + PATIENCE, _PAUSE
    while True:
        try:
            return ask()
        except QuixError as error:
            if not is_passing(error) or time.monotonic() + pause > deadline:
                raise
            trouble(error)
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


class Attachment:
    """One run on the terminal, from now to its end. Threads of its own carry input and signals."""

    def __init__(self, client: Client, backend: str, run_id: str, *, interactive: bool, terminal: bool) -> None:
        self._client = client
        self._backend = backend
        self._run_id = run_id
        self._interactive = interactive
        self._terminal = terminal
        self._errands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._interrupts: list[float] = []
        self._has_left = False
        self._trouble = Trouble()

    def run(self) -> int:
        """Pass everything on until the run ends; return its exit status (`quix.exits`).

        Raises:
            QuixError: the output cannot be read any more.
            LeftError: it was left running.
        """
        with contextlib.ExitStack() as stack:
            if self._terminal:
                stack.enter_context(_raw())
                stack.enter_context(handling({signal.SIGWINCH: self._resized}))
            handlers = dict.fromkeys(PASSED_ON, self._signalled)
            stack.enter_context(handling(handlers))
            threading.Thread(target=self._run_errands, daemon=True, name="quix-errands").start()
            if self._interactive:
                threading.Thread(target=self._send_input, daemon=True, name="quix-input").start()
            state = self._show_output()
        return exit_status(state)

    # -- output ---------------------------------------------------------------------------------

    def _show_output(self) -> RunState:
        follower = Follower(self._client, self._backend, self._run_id, acknowledge=True, trouble=self._tell_trouble)
        state = show(self._heeding(follower.follow()), follower)
        assert state is not None
        return state

    def _heeding(self, outputs: Iterator[RunOutput]) -> Iterator[RunOutput]:
        for output in outputs:
            if self._has_left:
                raise LeftError
            self._trouble.is_over()
            yield output

    def _tell_trouble(self, error: QuixError) -> None:
        if self._has_left:
            raise LeftError
        self._trouble(error)

    # -- signals --------------------------------------------------------------------------------

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        if self._has_left:
            raise LeftError
        if number == signal.SIGINT:
            now = time.monotonic()
            self._interrupts = [at for at in self._interrupts if now - at < _IN_A_ROW] + [now]
            if len(self._interrupts) >= _LEAVING:
                self._has_left = True
                raise LeftError
        name = signal.Signals(number).name
        self._errands.put(lambda: self._client.signal_run(self._backend, self._run_id, name))

    def _resized(self, _number: int, _frame: FrameType | None) -> None:
        size = terminal_size()
        self._errands.put(lambda: self._client.resize_terminal(self._backend, self._run_id, size))

    def _run_errands(self) -> None:
        while True:
            errand = self._errands.get()
            try:
                errand()
            except QuixError as error:
                if not (isinstance(error, ApiError) and error.reason == "run_unknown"):  # it has just ended
                    say(f"quix: {error}")

    # -- input ----------------------------------------------------------------------------------

    def _send_input(self) -> None:
        offset = 0
        try:
            for data in self._typed():
                offset = self._send(offset, data)
            self._send(offset, b"", end=True)
        except LeftError:
            self._has_left = True
            main = threading.main_thread().ident
            assert main is not None
            signal.pthread_kill(main, signal.SIGINT)  # it waits for output
        except QuixError as error:
            if not (isinstance(error, ApiError) and error.reason in _NO_READER):
                say(f"quix: input is passed on no longer: {error}")

    def _typed(self) -> Iterator[bytes]:
        """Yield what comes in. Raises LeftError: it says that the run is to be left."""
        held = b""
        while data := os.read(sys.stdin.fileno(), _AT_ONCE):
            typed = held + data
            if self._terminal and _LEAVE in typed:
                raise LeftError
            # Of two keys that a person presses, the first is read before the second.
            held = typed[-1:] if self._terminal and typed.endswith(_LEAVE[:1]) else b""
            if typed != held:
                yield typed.removesuffix(held)
        if held:
            yield held

    def _send(self, offset: int, data: bytes, *, end: bool = False) -> int:
        """Send until all of it was taken; return the offset after it. What may or may not have arrived is repeated."""
        goal = offset + len(data)
        write = partial(self._client.write_input, self._backend, self._run_id, end=end)
        while True:
            rest = data[len(data) - (goal - offset) :]
            received = insist(partial(write, offset, rest))
            if received >= goal:
                return received
            offset = max(offset, received)
            time.sleep(_PAUSE)


def show(outputs: Iterable[RunOutput], follower: Follower) -> RunState | None:
    """Write what a run wrote where it belongs, byte for byte; return its last state."""
    state, missed = None, 0
    with Progress() as progress:
        for output in outputs:
            if follower.missed > missed:
                progress.pause()
                say(f"quix: {follower.missed - missed} bytes are kept no longer (keep)")
                missed = follower.missed
            for chunk in output.chunks:
                progress.pause()
                stream = sys.stdout.buffer if chunk.stream == "stdout" else sys.stderr.buffer
                stream.write(chunk.data)
                stream.flush()
                progress.count(len(chunk.data))
            state = output.state
    return state


def exit_status(state: RunState) -> int:
    """Return what a shell would make of a run's end, and say on stderr where that is not all there is to say."""
    if state.outcome == Outcome.EXITED and state.exit_code is not None:
        return state.exit_code & 0xFF
    sentence = next((known.sentence for known in Outcome if known == state.outcome), "")
    if state.outcome == Outcome.TIMEOUT:
        say(f"quix: {state.outcome}: {sentence}")
        return _TIMEOUT
    if state.exit_signal is None:
        say(f"quix: {state.outcome}: {state.detail or sentence}")
        return _FAILED if state.exit_code is None else state.exit_code & 0xFF
    if state.outcome != Outcome.SIGNALLED:
        say(f"quix: {state.outcome}: {sentence}")
    return _SIGNALLED + _number(state.exit_signal)


def _number(name: str) -> int:
    if name in signal.Signals.__members__:
        return signal.Signals[name].value
    digits = name.removeprefix("SIG")
    return int(digits) if digits.isdigit() else 0


def terminal_size() -> Terminal:
    """Return the size of the terminal here."""
    size = shutil.get_terminal_size()
    return Terminal(rows=max(1, size.lines), columns=max(1, size.columns))


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Have every key go to the program: it has a terminal of its own to make sense of them."""
    import termios
    import tty

    stdin = sys.stdin.fileno()
    if not os.isatty(stdin):
        yield
        return
    before = termios.tcgetattr(stdin)
    tty.setraw(stdin)
    try:
        yield
    finally:
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)


@contextlib.contextmanager
def handling(handlers: Mapping[signal.Signals, Callable[[int, FrameType | None], None]]) -> Iterator[None]:
    """Handle signals so for as long as the block lasts."""
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
