"""What is kept in the audit: one word an action, and a sentence that says it to a person."""

from __future__ import annotations

from quix.words import Word


class Action(Word):
    """Something that somebody did or tried; `sentence` says what. docs/access.md lists them, and a test compares."""

    # Who is there.
    LOGIN = "login", "Logged in with a password."
    LOGIN_FAILED = "login_failed", "Tried to log in; the user is named where there is one of that name."
    LOGOUT = "logout", "Ended the login that the request was made with."

    # Programs. The target is the run, or the process ID where only that was given.
    EXECUTE = (
        "execute",
        "Started a program: `asked` before it starts, and a second row with the outcome.",
    )
    SIGNAL = "signal", "Signalled a program."
    RUN_INPUT = "run_input", "Gave a run input, for the first time since the server started."
    RUN_OUTPUT = "run_output", "Read what a run wrote, for the first time since the server started."

    # VPN.
    VPN_CONF = "vpn_conf", "Was handed a VPN configuration; without a user, the backend itself was."
    VPN_REVOKE = "vpn_revoke", "Withdrew a VPN lease."
    VPN_RESTORE = "vpn_restore", "Put a VPN lease in force again."
    VPN_TUNNEL = "vpn_tunnel", "Had a backend's agent bring its tunnel up or down, or make new keys for it."
    VPN_PEERS = "vpn_peers", "Was shown the peers of a WireGuard server, pre-shared keys included."

    # Backends.
    BACKEND_ENROLLED = "backend_enrolled", "Made a machine a backend, with a user's password or an enrolment key."
    BACKEND_CHANGED = "backend_changed", "Gave a backend a name or labels, or took them away."
    BACKEND_REVOKED = "backend_revoked", "Ended a backend's token and VPN lease."
    BACKEND_ADDED = "backend_added", "Added a backend that runs no agent; the target is its name."
    BACKEND_REMOVED = "backend_removed", "Removed a backend."

    # Users. The target is the name.
    USER_ADDED = "user_added", "Added a user."
    USER_CHANGED = "user_changed", "Gave a user another role, or other labels."
    USER_REMOVED = "user_removed", "Removed a user."
    PASSWORD_CHANGED = "password_changed", "Gave a user, or oneself, another password."

    # Logins and personal tokens. The target is the id.
    TOKEN_ADDED = "token_added", "Made a personal token."
    TOKEN_ENDED = "token_ended", "Ended a personal token."
    SESSION_ENDED = "session_ended", "Ended a login from the list of logins."

    # Alerts. The target is the name, and of a silence the id.
    ALERT_CHANNEL_ADDED = "alert_channel_added", "Added a channel that alerts are told by."
    ALERT_CHANNEL_CHANGED = "alert_channel_changed", "Changed a channel that alerts are told by."
    ALERT_CHANNEL_REMOVED = "alert_channel_removed", "Removed a channel that alerts are told by."
    ALERT_CHANNEL_TESTED = "alert_channel_tested", "Had a test message sent by a channel."
    ALERT_RULE_ADDED = "alert_rule_added", "Added a rule for alerts."
    ALERT_RULE_CHANGED = "alert_rule_changed", "Changed a rule for alerts."
    ALERT_RULE_REMOVED = "alert_rule_removed", "Removed a rule for alerts."
    ALERT_SILENCE_ADDED = "alert_silence_added", "Silenced alerts for a time."
    ALERT_SILENCE_REMOVED = "alert_silence_removed", "Ended a silence before its time."
    # Enrolment keys. The target is the id.
    ENROLMENT_ADDED = "enrolment_added", "Made an enrolment key."
    ENROLMENT_ENDED = "enrolment_ended", "Ended an enrolment key."

    # The audit itself.
    AUDIT_EXPORTED = "audit_exported", "Took the rows of the audit away."
    AUDIT_TRIMMED = "audit_trimmed", "The server deleted the rows that are older than `[audit] keep`."
