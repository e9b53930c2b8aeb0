"""The tables of reasons and close codes."""

from __future__ import annotations

import re

import pytest

from quix.wire.reasons import CloseCode, Reason, Refusal, failure_sentence


@pytest.mark.parametrize("reason", list(Reason))
def test_a_reason_is_snake_case_and_has_a_sentence(reason: Reason) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", reason)
    assert reason.name == reason.upper()
    assert reason.sentence[0].isupper()
    assert reason.sentence.endswith(".")


def test_the_seed_reasons_are_there() -> None:
    assert {"password_invalid", "token_invalid"} <= set(Reason)


def test_the_close_codes_are_those_of_the_protocol() -> None:
    assert {1001, 1003, 1007, 1008, 1009, 1013, 4001, 4002, 4003} <= {int(code) for code in CloseCode}
    # RFC 6455 section 7.4.1: these three are never sent.
    assert not {1005, 1006, 1015} & {int(code) for code in CloseCode}


def test_a_refusal_says_the_reason_unless_told_something_better() -> None:
    assert Refusal(Reason.PID_UNKNOWN).detail == Reason.PID_UNKNOWN.sentence
    refusal = Refusal(Reason.PID_UNKNOWN, "pid: 7 was started by somebody else")
    assert (refusal.reason, str(refusal)) == (Reason.PID_UNKNOWN, "pid: 7 was started by somebody else")


def test_a_reason_that_only_the_peer_knows_is_shown_as_it_is() -> None:
    assert failure_sentence("pid_unknown") == Reason.PID_UNKNOWN.sentence
    assert failure_sentence("moon_phase") == "The peer refused: moon_phase."
