"""How a run ended, and whether it begins again."""

from __future__ import annotations

import os
import signal
from typing import Final

from quix.supervisor.run import Ended, Run
from quix.wire.runs import Outcome, RunLimits

_FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 60.0
_SETTLED: Final = 60.0
"""Seconds that a program must have run for its next start to be as quick as the first."""


def ended(status: int | None, verdict: Outcome | None, limits: RunLimits, now: float) -> Ended:
    """Say how a program ended.

    Args:
        status: its wait status (wait(2)), or None where nobody saw it.
        verdict: why Quix ended it, if it did.
        now: seconds since the epoch.
    """
    if status is None:
        return Ended(outcome=verdict or Outcome.LOST, at=now)
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return Ended(outcome=verdict or Outcome.EXITED, at=now, exit_code=code)
    outcome = verdict or _limit_behind(-code, limits) or Outcome.SIGNALLED
    return Ended(outcome=outcome, at=now, exit_signal=signal_name(-code))


def signal_name(number: int) -> str:
    """Return a signal's name; one without a name is `SIG` and its number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"


def _limit_behind(number: int, limits: RunLimits) -> Outcome | None:
    # setrlimit(2): the kernel ends a process that passes these by a signal of their own.
    if number == signal.SIGXCPU and limits.cpu:
        return Outcome.CPU_LIMIT
    if number == signal.SIGXFSZ and limits.file_size:
        return Outcome.FILE_LIMIT
    return None


def begins_again(run: Run, end: Ended) -> bool:
    """Return whether a run whose program ended so is to be started once more."""
    if run.stopped or run.options.restart == "never" or end.outcome is Outcome.OUTPUT_LIMIT:
        return False  # the limit is of all its starts together
    return run.options.restart == "always" or end.outcome is not Outcome.EXITED or end.exit_code != 0


def pause(before: float, lasted: float) -> float:
    """Return the seconds to the next start: twice those `before`, unless the program ran well for a while."""
    if lasted >= _SETTLED or before == 0:
        return _FIRST_PAUSE
    return min(LONGEST_PAUSE, before * 2)
