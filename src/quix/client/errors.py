"""How a call of the SDK fails; every one is a `QuixError`, so that it carries an exit status too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from quix.exits import Exit, QuixError

__all__ = [
    "ApiError",
    "DeniedError",
    "FaultError",
    "NoAnswerError",
    "NotQuixServerError",
    "OfflineError",
    "RefusedError",
    "RequestInvalidError",
    "ServerUnreachableError",
    "UnknownBackendError",
    "UnknownOutcomeError",
    "api_error",
    "is_passing",
]


class ApiError(QuixError):
    """The server answered with an error. `reason` is for programs, `detail` for people; `status` is HTTP's."""

    exit_code: Exit = Exit.REFUSED

    def __init__(self, reason: str, detail: str, status: int) -> None:
        super().__init__(f"{reason}: {detail}", self.exit_code)
        self.reason = reason
        self.detail = detail
        self.status = status


class RequestInvalidError(ApiError):
    """A value was not acceptable (400, 413); the detail names the field."""

    exit_code = Exit.DATA


class DeniedError(ApiError):
    """Not logged in, no longer logged in, a wrong password, or not allowed (401, 403): log in as somebody who may."""

    exit_code = Exit.DENIED


class UnknownBackendError(ApiError):
    """No backend has that id or name, or several have that name (404, 409)."""

    exit_code = Exit.NO_BACKEND


class OfflineError(ApiError):
    """Nothing was sent: the backend is not connected, or the server is not able just now (409, 429, 503). Ask later."""

    exit_code = Exit.UNAVAILABLE


class UnknownOutcomeError(ApiError):
    """It was sent to the backend and no usable answer came (502, 504): it may or may not have been done, and nothing
    is sent a second time. `key` is what `execute` may be asked again with."""

    exit_code = Exit.UNKNOWN_OUTCOME
    key: str = ""


class RefusedError(ApiError):
    """The backend, or the server for it, said no (422), or the receiver of a message about alerts did; `reason` is the
    one of the protocol."""


class FaultError(ApiError):
    """The server failed for a fault of its own (500); its log says more."""

    exit_code = Exit.SOFTWARE


class ServerUnreachableError(QuixError):
    """The server cannot be reached, or its certificate is not trusted. Nothing was done."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Exit.UNAVAILABLE)


class NoAnswerError(QuixError):
    """A request that changes something was sent, and the connection ended or time was up before the server answered:
    it may or may not have been done. `key` is what `execute` may be asked again with."""

    key: str = ""

    def __init__(self, message: str) -> None:
        super().__init__(f"{message}; whether it was done is not known", Exit.UNKNOWN_OUTCOME)


class NotQuixServerError(QuixError):
    """What answered is no Quix server: most likely the URL is wrong."""

    def __init__(self, url: str) -> None:
        super().__init__(f"{url}: what answers there is no Quix server; check the URL", Exit.PROTOCOL)


_PASSING: Final = (FaultError, NoAnswerError, OfflineError, ServerUnreachableError, UnknownOutcomeError)


def is_passing(error: QuixError) -> bool:
    """Whether what does no harm twice may well be done the next time."""
    # The last: its supervisor is being restarted.
    return isinstance(error, _PASSING) or (isinstance(error, RefusedError) and error.reason == "unavailable")


_BY_STATUS: Final[Mapping[int, type[ApiError]]] = {
    400: RequestInvalidError,
    401: DeniedError,
    403: DeniedError,
    413: RequestInvalidError,
    422: RefusedError,
    429: OfflineError,
    500: FaultError,
    502: UnknownOutcomeError,
    503: OfflineError,
    504: UnknownOutcomeError,
}

# By status too: at 422 the backend has chosen the reason, and must not choose with it what the failure is taken for.
_BY_REASON: Final[Mapping[tuple[int, str], type[ApiError]]] = {
    (404, "backend_unknown"): UnknownBackendError,
    (409, "backend_ambiguous"): UnknownBackendError,
    (409, "backend_offline"): OfflineError,
}


def api_error(reason: str, detail: str, status: int) -> ApiError:
    """Return the error of an answer, in the class that fits best."""
    kind = _BY_REASON.get((status, reason)) or _BY_STATUS.get(status, ApiError)
    return kind(reason, detail, status)
