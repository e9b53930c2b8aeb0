"""Every reason a request can fail for, and every code a connection can be closed with.

The protocol's documentation is checked against these tables, so a reason exists here or nowhere.
"""

from __future__ import annotations

from enum import IntEnum

from quix.words import Word


class Reason(Word):
    """Why a request was refused; `sentence` says it to a person."""

    # The envelope (any request).
    MESSAGE_INVALID = "message_invalid", "The message is not a JSON object with a usable rid."
    REQUEST_INVALID = "request_invalid", "A field is missing or has the wrong type; the detail names it."
    REQUEST_UNKNOWN = "request_unknown", "This peer does not know a request of that name."
    RID_IN_USE = "rid_in_use", "A request with this rid is still in progress."
    TOO_MANY_REQUESTS = (
        "too_many_requests",
        "Too many requests of this peer are in progress; wait for answers.",
    )
    NOT_AUTHENTICATED = "not_authenticated", "Only authenticate is answered before authentication."
    INTERNAL_ERROR = (
        "internal_error",
        "The request failed for a fault of the answering side; its log says more.",
    )
    UNAVAILABLE = "unavailable", "Something this request needs is away for the moment; ask again later."

    # Authentication.
    PASSWORD_INVALID = "password_invalid", "The user is unknown or the password is wrong."
    TOKEN_INVALID = "token_invalid", "The token is unknown, expired or revoked."
    ENROLL_DENIED = "enroll_denied", "This user may not enrol backends."
    RATE_LIMITED = "rate_limited", "Too many failed attempts; wait before the next one."

    # Programs.
    COMMAND_NOT_FOUND = "command_not_found", "There is no such program on the backend."
    PERMISSION_DENIED = "permission_denied", "The backend may not execute that program."
    SANDBOX_UNAVAILABLE = "sandbox_unavailable", "The backend cannot build the sandbox it was told to use."
    LIMIT_REACHED = "limit_reached", "A limit of the backend does not allow another program."
    POLICY_DENIED = "policy_denied", "The machine's owner forbids it."
    SPAWN_FAILED = "spawn_failed", "The program could not be started."
    MODE_INVALID = "mode_invalid", "The backend knows no such signal; SIGTERM, SIGKILL and SIGHUP are known to all."
    PID_UNKNOWN = "pid_unknown", "Quix started no running program with that process ID."
    RUN_UNKNOWN = "run_unknown", "The backend knows no run of that id, or keeps nothing of it any more."

    # VPN.
    CONF_TYPE_UNKNOWN = "conf_type_unknown", "The configuration type must be wireguard or openvpn."
    TUN_MODE_INVALID = "tun_mode_invalid", "That tunnel mode does not exist for the configuration type."
    VPN_UNAVAILABLE = "vpn_unavailable", "The server hands out no configuration of this type to this backend."
    ADDRESSES_EXHAUSTED = "addresses_exhausted", "The server's address pool has no free address."


class CloseCode(IntEnum):
    """WebSocket close codes that Quix sends (RFC 6455 section 7.4; 4000 and up are Quix's own)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    INVALID_TEXT = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    TRY_AGAIN_LATER = 1013
    SUPERSEDED = 4001
    TOKEN_ENDED = 4002
    MALFORMED = 4003


class Refusal(Exception):  # noqa: N818 - the word of the protocol, and no error of the program
    """A request is answered with a failure. Raised by handlers, sent to whoever asked.

    `detail` is a sentence for people; it reaches only peers that can be told one.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(detail or reason.sentence)
        self.reason = reason
        self.detail = detail or reason.sentence


def failure_sentence(reason: str) -> str:
    """Return the sentence for a reason code; for one that only the peer knows, the code itself."""
    known = Reason.__members__.get(reason.upper())
    return known.sentence if known is not None else f"The peer refused: {reason}."
