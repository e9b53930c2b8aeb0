"""Every reason REST fails for, with its status: an error is `{"reason", "detail"}`, whatever went wrong."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Self

from quix.link import outcomes
from quix.store.errors import AlreadyExistsError, LastAdminError
from quix.wire.reasons import Reason


class Problem(StrEnum):
    """A reason, its HTTP status, and the sentence that says it to a person.

    What a backend refuses has the status 422 and the backend's own reason, which need not be one of these.
    """

    status: int
    sentence: str

    def __new__(cls, code: str, status: int, sentence: str) -> Self:
        member = str.__new__(cls, code)
        member._value_ = code
        member.status = status
        member.sentence = sentence
        return member

    REQUEST_INVALID = Reason.REQUEST_INVALID.value, 400, Reason.REQUEST_INVALID.sentence

    NOT_AUTHENTICATED = Reason.NOT_AUTHENTICATED.value, 401, "Log in first, and send Authorization: Bearer TOKEN."
    TOKEN_INVALID = Reason.TOKEN_INVALID.value, 401, Reason.TOKEN_INVALID.sentence
    PASSWORD_INVALID = Reason.PASSWORD_INVALID.value, 401, Reason.PASSWORD_INVALID.sentence
    PERMISSION_DENIED = Reason.PERMISSION_DENIED.value, 403, "This user's role does not allow that."

    NOT_FOUND = "not_found", 404, "There is nothing at this path."
    BACKEND_UNKNOWN = "backend_unknown", 404, "There is no backend of that id or name."
    RUN_UNKNOWN = "run_unknown", 404, "The backend has no run of that id."
    LEASE_UNKNOWN = "lease_unknown", 404, "The backend has no VPN lease."
    USER_UNKNOWN = "user_unknown", 404, "There is no user of that name."
    TOKEN_UNKNOWN = "token_unknown", 404, "There is no personal token of that id, or none of yours."
    SESSION_UNKNOWN = "session_unknown", 404, "There is no login of that id, or none of yours."
    CHANNEL_UNKNOWN = "channel_unknown", 404, "There is no channel of that id or name."
    RULE_UNKNOWN = "rule_unknown", 404, "There is no rule of that id or name, or none for backends of yours."
    SILENCE_UNKNOWN = "silence_unknown", 404, "There is no silence of that id that holds."
    ENROLMENT_UNKNOWN = "enrolment_unknown", 404, "There is no enrolment key of that id."
    METHOD_NOT_ALLOWED = "method_not_allowed", 405, "This path does not know the method."

    BACKEND_OFFLINE = outcomes.BackendOfflineError.reason, 409, outcomes.BackendOfflineError.sentence
    BACKEND_AMBIGUOUS = "backend_ambiguous", 409, "Several backends have that name; the detail lists their ids."
    ALREADY_EXISTS = AlreadyExistsError.reason, 409, "There is one of that name already."
    LAST_ADMIN = LastAdminError.reason, 409, "The change would leave no admin."

    BODY_TOO_LARGE = "body_too_large", 413, "The body is larger than 1 MiB, or than the 16 KiB of a login."
    REFUSED = "refused", 422, "The backend or the VPN refused; the reason is its own (docs/protocol.md, Failures)."

    RATE_LIMITED = Reason.RATE_LIMITED.value, 429, Reason.RATE_LIMITED.sentence
    TOO_MANY_REQUESTS = outcomes.TooBusyError.reason, 429, outcomes.TooBusyError.sentence

    INTERNAL_ERROR = Reason.INTERNAL_ERROR.value, 500, "The request failed for a fault of the server; see its log."
    CONNECTION_LOST = outcomes.ConnectionLostError.reason, 502, outcomes.ConnectionLostError.sentence
    DELIVERY_FAILED = "delivery_failed", 422, "The message was not taken; the detail says what the receiver said."
    ANSWER_INVALID = outcomes.AnswerInvalidError.reason, 502, outcomes.AnswerInvalidError.sentence
    UNAVAILABLE = Reason.UNAVAILABLE.value, 503, Reason.UNAVAILABLE.sentence
    TIMEOUT = outcomes.RequestTimeoutError.reason, 504, outcomes.RequestTimeoutError.sentence


# -- what kinds of routes end in, for their descriptions --------------------------------------------

READING: Final = (Problem.NOT_AUTHENTICATED, Problem.TOKEN_INVALID)
"""Every route behind a login."""

ADMINISTERING: Final = (*READING, Problem.PERMISSION_DENIED)
"""Every route that not all roles may use."""

NAMING: Final = (*READING, Problem.BACKEND_UNKNOWN, Problem.BACKEND_AMBIGUOUS)
"""Every route that names a backend."""

OPERATING: Final = (*NAMING, Problem.PERMISSION_DENIED)
"""Every route that acts on a backend."""

ASKING: Final = (
    Problem.BACKEND_OFFLINE,
    Problem.REFUSED,
    Problem.TOO_MANY_REQUESTS,
    Problem.CONNECTION_LOST,
    Problem.ANSWER_INVALID,
    Problem.TIMEOUT,
)
"""Every route that asks the backend itself."""


class ProblemError(Exception):
    """A request ends in a problem. `detail` is a sentence for people."""

    def __init__(self, problem: Problem, detail: str = "") -> None:
        super().__init__(detail or problem.sentence)
        self.problem = problem
        self.reason = problem.value
        self.detail = detail or problem.sentence


def problem_named(reason: str) -> Problem:
    """Return the problem of that name; `REFUSED` for every other reason."""
    return Problem.__members__.get(reason.upper(), Problem.REFUSED)
