# Made from aio/access.py by tools/sync_client.py: change that, and run `make sdk`.

"""Users, and what they did."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence

from quix.client.calls import Calls
from quix.client.models import AuditRow, Event, Session, Token, User
from quix.client.paths import segment, user_path
from quix.client.watch import Watcher
from quix.exits import QuixError


class AccessCalls(Calls):
    """The part of the client that is about people, and not about backends."""

    # -- users ----------------------------------------------------------------------------------

    def users(self) -> Generator[User]:
        """Yield the users by name."""
        return self._pages("/users", User)

    def add_user(self, name: str, role: str, password: str, labels: Mapping[str, str] | None = None) -> User:
        """Add a user; `role` is admin, operator, viewer or enroller. With `labels` the user knows only of backends that
        have all of them."""
        body = {"name": name, "role": role, "password": password, "labels": dict(labels or {})}
        return self._connection.call("POST", "/users", User, body=body)

    def set_role(self, name: str, role: str) -> User:
        """Give a user another role; it holds at once."""
        return self._connection.call("PATCH", user_path(name), User, body={"role": role})

    def set_password(self, name: str, password: str) -> User:
        """Give a user another password; the user's logins end."""
        return self._connection.call("PATCH", user_path(name), User, body={"password": password})

    def set_labels(self, name: str, labels: Mapping[str, str]) -> User:
        """Limit a user to backends that have all of these labels; with none, the user sees all."""
        return self._connection.call("PATCH", user_path(name), User, body={"labels": dict(labels)})

    def remove_user(self, name: str) -> None:
        """Remove a user and end the user's logins; backends that the user enrolled stay."""
        self._connection.send("DELETE", user_path(name))

    # -- logins and personal tokens -------------------------------------------------------------

    def change_password(self, old: str, new: str) -> None:
        """Change the own password; the other logins end."""
        self._connection.send("POST", "/me/password", body={"old": old, "new": new})

    def tokens(self, user: str = "") -> Generator[Token]:
        """Yield the own personal tokens, or as an admin those of a user."""
        return self._pages("/tokens", Token, {"user": user} if user else None)

    def add_token(
        self,
        name: str,
        role: str,
        *,
        labels: Mapping[str, str] | None = None,
        backends: Sequence[str] | None = None,
        validity: int = 30 * 86400,
    ) -> Token:
        """Make a personal token, for `validity` seconds; what it returns holds the secret, this once."""
        body: dict[str, object] = {"name": name, "role": role, "labels": dict(labels or {}), "validity": validity}
        if backends is not None:
            body["backends"] = list(backends)
        return self._connection.call("POST", "/tokens", Token, body=body)

    def remove_token(self, token_id: str) -> None:
        """End a personal token."""
        self._connection.send("DELETE", f"/tokens/{segment(token_id, 'token_id')}")

    def sessions(self, user: str = "") -> Generator[Session]:
        """Yield the own logins, or as an admin those of a user."""
        return self._pages("/sessions", Session, {"user": user} if user else None)

    def end_session(self, session_id: str) -> None:
        """End a login."""
        self._connection.send("DELETE", f"/sessions/{segment(session_id, 'session_id')}")

    # -- the audit ------------------------------------------------------------------------------

    def audit(
        self,
        *,
        user: str = "",
        backend: str = "",
        action: str = "",
        outcome: str = "",
        since: float | None = None,
        until: float | None = None,
    ) -> Generator[AuditRow]:
        """Yield what was done, the newest first; `since` and `until` in epoch seconds."""
        chosen = _chosen(user=user, backend=backend, action=action, outcome=outcome, since=since, until=until)
        return self._pages("/audit", AuditRow, chosen)

    def export_audit(
        self,
        *,
        user: str = "",
        backend: str = "",
        action: str = "",
        outcome: str = "",
        since: float | None = None,
        until: float | None = None,
    ) -> Generator[bytes]:
        """Yield what was done, the oldest first, each as a line of JSON without its end."""
        chosen = _chosen(user=user, backend=backend, action=action, outcome=outcome, since=since, until=until)
        return self._connection.lines("/audit/export", chosen)

    # -- events ---------------------------------------------------------------------------------

    def events(
        self,
        kinds: Sequence[str] = (),
        backend: str = "",
        *,
        after: int | None = None,
        patience: float = 600.0,
        trouble: Callable[[QuixError], None] = lambda _error: None,
    ) -> Generator[Event]:
        """Yield what happens from when the first is waited for, or past the event of the id `after`; without an end,
        across lost connections.

        After an event of the kind `reset` some were missed. `trouble` is told of each failure that is tried again,
        for `patience` seconds in a row at most.
        """
        params = {"kind": ",".join(kinds), "backend": backend}
        chosen = {name: text for name, text in params.items() if text}
        return Watcher(self._connection, chosen, after, patience, trouble).events()


def _chosen(*, since: float | None, until: float | None, **texts: str) -> dict[str, str]:
    times = {"since": since, "until": until}
    return {
        **{name: text for name, text in texts.items() if text},
        **{name: repr(at) for name, at in times.items() if at is not None},
    }
