"""How an end is told, and whether a run begins again after it."""

from __future__ import annotations

import os
import signal
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quix.supervisor import ending
from quix.supervisor.run import Ended, Run
from quix.wire.runs import Outcome, RunLimits, RunOptions

ALL = RunLimits(cpu=1, file_size=1)


@given(st.integers(0, 255))
def test_an_exit_status_is_told_as_it_is(code: int) -> None:
    end = ending.ended(code << 8, None, ALL, 7.5)
    assert end == Ended(outcome=Outcome.EXITED, at=7.5, exit_code=code)


@given(st.integers(1, 64), st.booleans())
def test_a_signal_is_named(number: int, dumped: bool) -> None:
    end = ending.ended(number | (0x80 if dumped else 0), None, RunLimits(), 7.5)
    assert (end.outcome, end.exit_code) == (Outcome.SIGNALLED, None)
    assert end.exit_signal is not None
    if number in {*signal.Signals}:
        assert signal.Signals[end.exit_signal] == number
    else:
        assert end.exit_signal == f"SIG{number}"
    assert len(end.exit_signal) <= 16, "it fits the wire"


@pytest.mark.parametrize(
    ("number", "limits", "outcome"),
    [
        (signal.SIGXCPU, ALL, Outcome.CPU_LIMIT),
        (signal.SIGXFSZ, ALL, Outcome.FILE_LIMIT),
        (signal.SIGXCPU, RunLimits(file_size=1), Outcome.SIGNALLED),
        (signal.SIGXFSZ, RunLimits(cpu=1), Outcome.SIGNALLED),
        (signal.SIGKILL, ALL, Outcome.SIGNALLED),
    ],
)
def test_a_signal_is_a_limits_only_where_there_is_that_limit(
    number: signal.Signals, limits: RunLimits, outcome: Outcome
) -> None:
    assert ending.ended(int(number), None, limits, 0).outcome is outcome


def test_what_quix_did_comes_before_what_the_status_says() -> None:
    assert ending.ended(int(signal.SIGXCPU), Outcome.TIMEOUT, ALL, 0) == Ended(
        outcome=Outcome.TIMEOUT, at=0, exit_signal="SIGXCPU"
    )
    assert ending.ended(0, Outcome.OUTPUT_LIMIT, ALL, 0) == Ended(outcome=Outcome.OUTPUT_LIMIT, at=0, exit_code=0)
    assert ending.ended(None, Outcome.MEMORY_LIMIT, ALL, 0).outcome is Outcome.MEMORY_LIMIT
    assert ending.ended(None, None, ALL, 0) == Ended(outcome=Outcome.LOST, at=0)


def test_the_status_of_a_real_child() -> None:
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 41"], {})
    assert ending.ended(os.waitpid(pid, 0)[1], None, RunLimits(), 0).exit_code == 41


Restart = Literal["never", "on-failure", "always"]

GOOD = Ended(outcome=Outcome.EXITED, at=0, exit_code=0)
BAD = Ended(outcome=Outcome.EXITED, at=0, exit_code=1)
KILLED = Ended(outcome=Outcome.SIGNALLED, at=0, exit_signal="SIGKILL")
LOST = Ended(outcome=Outcome.LOST, at=0)
# A program that answers SIGTERM with status 0 after it took too long has failed all the same.
LATE = Ended(outcome=Outcome.TIMEOUT, at=0, exit_code=0)


@pytest.mark.parametrize(
    ("restart", "again"),
    [
        ("never", []),
        ("on-failure", [BAD, KILLED, LOST, LATE]),
        ("always", [GOOD, BAD, KILLED, LOST, LATE]),
    ],
)
def test_which_ends_are_followed_by_another_start(restart: Restart, again: list[Ended]) -> None:
    run = Run(id="x", cmd=["x"], pid=1, start=0, boot_id="b", started_at=0, mark=0, options=RunOptions(restart=restart))
    ends = [GOOD, BAD, KILLED, LOST, LATE]
    assert [end for end in ends if ending.begins_again(run, end)] == again
    stopped = run.changed(stopped=True)
    assert not any(ending.begins_again(stopped, end) for end in ends), "it was told to end"


def test_the_pause_doubles_up_to_a_minute_and_a_good_run_makes_it_short_again() -> None:
    pauses = [ending.pause(0, 0)]
    while len(pauses) < 10:
        pauses.append(ending.pause(pauses[-1], 1))
    assert pauses == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert ending.pause(60, 59.9) == 60
    assert ending.pause(60, 60) == 0.5
