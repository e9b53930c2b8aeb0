"""`quix run` on many backends at once."""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from quix.cli import session
from quix.cli.attach import PASSED_ON, LeftError, handling
from quix.cli.batch import Batch, Begun, Ended, Noted, Wrote
from quix.cli.errand import Order
from quix.cli.output import discard
from quix.cli.screen import Screen
from quix.cli.sinks import Documents, Groups, Lines, Sink, Starts
from quix.cli.tally import Names, Result, Tally, not_reached, skipped
from quix.cli.targets import Selection, Target, find
from quix.exits import Exit

if TYPE_CHECKING:
    from quix.cli.batch import Event
    from quix.wire.runs import RunOptions

_SHARING: Final = 32
"""Threads that share the connections of one client."""

_TICK: Final = 0.1
_SIGNALLED: Final = 128


class Manner(Struct, frozen=True, kw_only=True):
    """How it is run and shown."""

    parallel: int
    max_failures: int
    group: bool
    detach: bool
    json: bool


def run(selection: Selection, cmd: list[str], options: RunOptions, manner: Manner) -> int:
    """Run a program on all that are selected; return the exit status.

    Raises:
        QuixError: it was run nowhere.
    """
    began = time.monotonic()
    with session.client() as client:
        targets = find(client, selection)
    screen = Screen(targets, has_bar=not manner.detach)
    tally, sink = Tally(), _sink(screen, manner)
    _tell_absent(targets, screen, sink, tally)
    there = [target for target in targets if target.connected]
    clients = [session.client() for _ in range(-(-min(manner.parallel, len(there)) // _SHARING) or 1)]
    order = Order(cmd, options, follow=not manner.detach)
    show = _Show(Batch(clients, there, order, manner.parallel, manner.max_failures), screen, sink, tally)
    status = show.run()
    for line in tally.lines(time.monotonic() - began):
        screen.say(line if line.startswith(" ") else f"quix: {line}")
    return status or (Exit.SOME_FAILED if tally.bad else Exit.OK)


def _sink(screen: Screen, manner: Manner) -> Sink:
    if manner.json:
        return Documents(screen)
    if manner.detach:
        return Starts(screen)
    return Groups(screen) if manner.group else Lines(screen)


def _tell_absent(targets: list[Target], screen: Screen, sink: Sink, tally: Tally) -> None:
    """Those that are not connected are told of at once, and counted."""
    names = Names()
    for target in targets:
        if not target.connected:
            names.add(target.name)
            result = not_reached(target)
            tally.add(result)
            if isinstance(sink, Documents):
                sink.ended(target, result)
    if names.count:
        screen.say(f"quix: {names.count} of {len(targets)} not connected: {names}")


class _Show:
    """Shows a batch from its begin to its end, and passes signals on to it."""

    def __init__(self, batch: Batch, screen: Screen, sink: Sink, tally: Tally) -> None:
        self._batch = batch
        self._screen = screen
        self._sink = sink
        self._tally = tally
        self._running: dict[str, Target] = {}
        self._signal = 0
        self._is_passed_on = False

    def run(self) -> int:
        """Return the exit status where a signal or a closed pipe says what it is, else 0."""
        try:
            with handling(dict.fromkeys(PASSED_ON, self._signalled)):
                self._batch.start()
                self._follow()
        except LeftError:
            self._leave()
        except BrokenPipeError:
            self._batch.leave()
            return discard(sys.stdout)
        except BaseException:
            self._batch.leave()
            raise
        finally:
            self._screen.pause()
        for target in self._batch.skipped():
            self._end(target, skipped(target))
        return _SIGNALLED + self._signal if self._signal else 0

    def _follow(self) -> None:
        while not self._batch.is_over:
            event = self._batch.event(_TICK)
            if event is not None:
                self._heed(event)
            if self._signal and not self._is_passed_on:
                self._is_passed_on = True
                name = signal.Signals(self._signal).name
                self._batch.stop()
                self._batch.pass_on(name)
                self._screen.say(f"quix: {name} is passed on, and nothing more is begun; once more leaves what runs")
            self._screen.draw(self._tally, (target.name for target in self._running.values()))

    def _heed(self, event: Event) -> None:
        target = event.target
        if isinstance(event, Begun):
            self._running[target.id] = target
        elif isinstance(event, Wrote):
            self._sink.wrote(target, event.stream, event.data)
        elif isinstance(event, Noted):
            self._screen.say(f"quix: {target.name}: {event.text}")
        elif isinstance(event, Ended):
            del self._running[target.id]
            self._end(target, event.result)

    def _end(self, target: Target, result: Result) -> None:
        self._tally.add(result)
        if result.result != "skipped" or isinstance(self._sink, Documents):
            self._sink.ended(target, result)

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        # No more than that: the lock that stopping needs may be held by what this interrupts.
        if self._signal:
            raise LeftError
        self._signal = number

    def _leave(self) -> None:
        left = self._batch.leave()
        for target in self._running.values():
            run = left.get(target.id, "")
            known = f"quix logs -f {target.name} {run}" if run else "whether it was started is not known"
            detail = f"left running: {known}" if run else known
            result = Result(backend=target.name, id=target.id, run=run, result="unknown", outcome="left", detail=detail)
            self._end(target, result)
