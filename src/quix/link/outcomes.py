"""How a request to a peer can end other than in its answer (docs/protocol.md, "Outcomes").

Each carries a `reason`, the code that REST and the CLI show, and a `detail` for people.
"""

from __future__ import annotations

from quix.wire.reasons import failure_sentence

__all__ = [
    "AnswerInvalidError",
    "AskError",
    "BackendOfflineError",
    "ConnectionLostError",
    "RefusedError",
    "RequestTimeoutError",
    "TooBusyError",
]


class AskError(Exception):
    """Base of every outcome that is no answer."""

    reason = "failed"
    sentence = "The request failed."

    def __init__(self, detail: str = "") -> None:
        self.detail = detail or self.sentence
        super().__init__(self.detail)


class BackendOfflineError(AskError):
    """Not sent: the backend is not connected. Asking again later is safe."""

    reason = "backend_offline"
    sentence = "The backend is not connected; nothing was sent."


class TooBusyError(AskError):
    """Not sent: as many requests are in flight to this backend as it need accept."""

    reason = "too_many_requests"
    sentence = "Too many requests to this backend are in flight; nothing was sent."


class RequestTimeoutError(AskError):
    """Sent, and no answer came in time: it may or may not have been done."""

    reason = "timeout"
    sentence = "The request was sent and no answer came in time; whether it was done is unknown."


class ConnectionLostError(AskError):
    """Sent, and the connection ended before an answer came: it may or may not have been done."""

    reason = "connection_lost"
    sentence = "The connection ended before an answer came; whether it was done is unknown."


class AnswerInvalidError(AskError):
    """The peer answered with something that is no answer to this request: its fault, not ours."""

    reason = "answer_invalid"
    sentence = "The backend's answer could not be understood."


class RefusedError(AskError):
    """The peer refused; `reason` is its own code, which may be one that this build does not know."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or failure_sentence(reason))
        self.reason = reason
