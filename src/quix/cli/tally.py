"""How a program that was run on many backends ended on each of them, and all together."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct, field

from quix.cli import render
from quix.exits import printable
from quix.wire.runs import Outcome

if TYPE_CHECKING:
    from quix.cli.targets import Target
    from quix.wire.runs import RunState

Verdict = Literal["ok", "started", "failed", "timed_out", "not_reached", "unknown", "skipped"]

_GOOD: Final = frozenset({"ok", "started"})

_SHOWN: Final = 20
"""Names in one line; with --json every backend has a line of its own."""

_WORDS: Final = {
    "ok": "ok",
    "started": "started",
    "failed": "failed",
    "timed_out": "timed out",
    "not_reached": "not reached",
    "unknown": "unknown",
    "skipped": "not begun",
}
"""In the order in which they are told."""


class Result(Struct, frozen=True, kw_only=True):
    """What became of it on one backend.

    Attributes:
        backend, id: its name and its id.
        run: the id of the run, empty where there is none.
        result: in one word: `ok` is an exit with status 0; `started` is all there is with --detach; `unknown`: it may
            or may not have run; `skipped`: it was not begun, since enough had failed or somebody pressed Ctrl-C.
        outcome: an `Outcome`, or the reason why it did not come to one.
        exit_code, exit_signal: its status, where it exited; the signal, where one ended it.
        seconds: from the request to the end.
        stdout, stderr: the last part of what it wrote, with --json only; `stdout_cut` and `stderr_cut` bytes before
            are left out.
        detail: a sentence for people, where there is more to say.
    """

    backend: str
    id: str
    run: str = ""
    result: Verdict
    outcome: str = ""
    exit_code: int | None = None
    exit_signal: str | None = None
    seconds: float = 0.0
    stdout: str = ""
    stdout_cut: int = 0
    stderr: str = ""
    stderr_cut: int = 0
    detail: str = ""

    @property
    def is_good(self) -> bool:
        return self.result in _GOOD

    @property
    def is_failure(self) -> bool:
        """Whether it came to something, and that was nothing good."""
        return self.result in ("failed", "timed_out", "unknown")

    @property
    def why(self) -> str:
        """How it failed, for people: `exit 3`, `SIGKILL`, `memory_limit`, `policy_denied`."""
        if self.outcome == Outcome.EXITED:
            return f"exit {self.exit_code}"
        if self.outcome == Outcome.SIGNALLED and self.exit_signal:
            return self.exit_signal
        return self.outcome


def skipped(target: Target) -> Result:
    return Result(backend=target.name, id=target.id, result="skipped", outcome="skipped")


def not_reached(target: Target, outcome: str = "backend_offline", detail: str = "") -> Result:
    return Result(backend=target.name, id=target.id, result="not_reached", outcome=outcome, detail=detail)


def verdict(state: RunState) -> Verdict:
    """Return what a run's end is in one word."""
    if state.outcome == Outcome.EXITED:
        return "ok" if state.exit_code == 0 else "failed"
    return "timed_out" if state.outcome == Outcome.TIMEOUT else "failed"


class Names(Struct):
    """Some names, and how many there are."""

    count: int = 0
    some: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        self.count += 1
        if len(self.some) < _SHOWN:
            self.some.append(name)

    def __str__(self) -> str:
        more = self.count - len(self.some)
        return ", ".join(self.some) + (f" and {more} more" if more else "")


class Tally:
    """Counts results; how many backends there are makes no difference to what it holds."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._bad: defaultdict[tuple[str, str], Names] = defaultdict(Names)

    def add(self, result: Result) -> None:
        self.counts[result.result] += 1
        if not result.is_good:
            self._bad[result.result, result.why].add(result.backend)

    @property
    def total(self) -> int:
        return self.counts.total()

    @property
    def bad(self) -> int:
        """How many did not succeed."""
        return sum(count for verdict, count in self.counts.items() if verdict not in _GOOD)

    def lines(self, seconds: float) -> list[str]:
        """Return the summary: a line with all the numbers, and one for each way not to succeed, with who did."""
        told = [f"{self.counts[name]} {word}" for name, word in _WORDS.items() if self.counts[name] or name == "ok"]
        if not self.counts["ok"] and self.counts["started"]:
            told.remove("0 ok")
        plural = "" if self.total == 1 else "s"
        head = f"{self.total} backend{plural} in {render.duration(seconds)}: {', '.join(told)}"
        order = list(_WORDS)
        ways = sorted(self._bad, key=lambda way: (order.index(way[0]), -self._bad[way].count, way[1]))
        return [head, *(f"  {self._way(*way)}: {self._bad[way]}" for way in ways)]

    def _way(self, verdict: str, why: str) -> str:
        word = _WORDS[verdict]
        return word if why in ("", "skipped", "timeout") else f"{word}, {printable(why)}"
