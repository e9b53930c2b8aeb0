"""From what the server says to an exception and an exit status."""

from __future__ import annotations

import pytest

from quix.api.problems import Problem
from quix.client.errors import (
    ApiError,
    DeniedError,
    FaultError,
    OfflineError,
    RefusedError,
    RequestInvalidError,
    UnknownBackendError,
    UnknownOutcomeError,
    api_error,
)
from quix.exits import Exit

EXPECTED: dict[Problem, tuple[type[ApiError], Exit]] = {
    Problem.REQUEST_INVALID: (RequestInvalidError, Exit.DATA),
    Problem.NOT_AUTHENTICATED: (DeniedError, Exit.DENIED),
    Problem.TOKEN_INVALID: (DeniedError, Exit.DENIED),
    Problem.PASSWORD_INVALID: (DeniedError, Exit.DENIED),
    Problem.PERMISSION_DENIED: (DeniedError, Exit.DENIED),
    Problem.NOT_FOUND: (ApiError, Exit.REFUSED),
    Problem.BACKEND_UNKNOWN: (UnknownBackendError, Exit.NO_BACKEND),
    Problem.RUN_UNKNOWN: (ApiError, Exit.REFUSED),
    Problem.LEASE_UNKNOWN: (ApiError, Exit.REFUSED),
    Problem.USER_UNKNOWN: (ApiError, Exit.REFUSED),
    Problem.TOKEN_UNKNOWN: (ApiError, Exit.REFUSED),
    Problem.SESSION_UNKNOWN: (ApiError, Exit.REFUSED),
    Problem.ENROLMENT_UNKNOWN: (ApiError, Exit.REFUSED),
    Problem.CHANNEL_UNKNOWN: (ApiError, Exit.REFUSED),
    Problem.RULE_UNKNOWN: (ApiError, Exit.REFUSED),
    Problem.SILENCE_UNKNOWN: (ApiError, Exit.REFUSED),
    Problem.DELIVERY_FAILED: (RefusedError, Exit.REFUSED),
    Problem.METHOD_NOT_ALLOWED: (ApiError, Exit.REFUSED),
    Problem.BACKEND_OFFLINE: (OfflineError, Exit.UNAVAILABLE),
    Problem.BACKEND_AMBIGUOUS: (UnknownBackendError, Exit.NO_BACKEND),
    Problem.ALREADY_EXISTS: (ApiError, Exit.REFUSED),
    Problem.LAST_ADMIN: (ApiError, Exit.REFUSED),
    Problem.BODY_TOO_LARGE: (RequestInvalidError, Exit.DATA),
    Problem.REFUSED: (RefusedError, Exit.REFUSED),
    Problem.RATE_LIMITED: (OfflineError, Exit.UNAVAILABLE),
    Problem.TOO_MANY_REQUESTS: (OfflineError, Exit.UNAVAILABLE),
    Problem.INTERNAL_ERROR: (FaultError, Exit.SOFTWARE),
    Problem.CONNECTION_LOST: (UnknownOutcomeError, Exit.UNKNOWN_OUTCOME),
    Problem.ANSWER_INVALID: (UnknownOutcomeError, Exit.UNKNOWN_OUTCOME),
    Problem.UNAVAILABLE: (OfflineError, Exit.UNAVAILABLE),
    Problem.TIMEOUT: (UnknownOutcomeError, Exit.UNKNOWN_OUTCOME),
}


@pytest.mark.parametrize("problem", Problem)
def test_every_problem_of_the_server(problem: Problem) -> None:
    error = api_error(problem.value, "d", problem.status)
    assert (type(error), error.code) == EXPECTED[problem]
    assert (str(error), error.reason, error.detail, error.status) == (f"{problem}: d", problem, "d", problem.status)


@pytest.mark.parametrize("reason", ["backend_unknown", "backend_offline", "timeout", "token_invalid"])
def test_reason_that_a_backend_chose_is_a_refusal_whatever_it_is(reason: str) -> None:
    assert type(api_error(reason, "d", 422)) is RefusedError


@pytest.mark.parametrize("status", [300, 418, 501, 599])
def test_status_that_is_not_known_is_still_an_error(status: int) -> None:
    assert type(api_error("r", "d", status)) is ApiError


def test_message_is_one_printable_line_and_the_parts_are_as_they_came() -> None:
    error = api_error("r\x1b[2J", "a\nb", 422)
    assert str(error) == "r\ufffd[2J: a\ufffdb"
    assert (error.reason, error.detail) == ("r\x1b[2J", "a\nb")
