"""The client itself: one method for each route."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from quix.client.connection import Connection
from quix.client.models import Backend, Configuration, Lease, Me, Run, Started, User
from quix.exits import Exit, QuixError
from quix.wire.messages import STAT_TYPES, Process, TeleData

T = TypeVar("T")

_PAGE: Final = 500

TIMEOUT: Final = 60.0
"""Seconds for one request; longer than a server waits for a backend, so that the server's own answer is heard."""


class _Login(Struct):
    token: str


class _Page(Struct):
    items: msgspec.Raw
    next: str | None


class Client:
    """A session with a control server. A backend is named by its id, or by its name where that is unique.

    Every method raises an `ApiError` where the server says no, `ServerUnreachableError` where it cannot be reached,
    `NoAnswerError` where a change was sent and not answered, and `NotQuixServerError` where something else answers.

    Args:
        url: http(s)://HOST:PORT of the operators' door. Plain http goes to this machine alone, see `allow_plaintext`.
        token: what `login` gave.
        timeout: seconds for one request.
        ca: a PEM file of authorities to trust instead of the system's.
        allow_plaintext: send secrets over plain http to other machines than this one.

    Raises:
        QuixError: one of these cannot be used.
    """

    def __init__(
        self, url: str, token: str = "", timeout: float = TIMEOUT, *, ca: str = "", allow_plaintext: bool = False
    ) -> None:
        self._connection = Connection(url, token, timeout, ca, allow_plaintext=allow_plaintext)

    @classmethod
    def login(
        cls,
        url: str,
        username: str,
        password: str,
        timeout: float = TIMEOUT,
        *,
        ca: str = "",
        allow_plaintext: bool = False,
    ) -> Self:
        """Log in and return a client with the token."""
        client = cls(url, "", timeout, ca=ca, allow_plaintext=allow_plaintext)
        try:
            body = {"username": username, "password": password}
            client._connection.token = client._connection.call("POST", "/login", _Login, body=body).token
        except BaseException:
            client.close()
            raise
        return client

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    @property
    def url(self) -> str:
        """The server's address, without a slash at its end."""
        return self._connection.url

    @property
    def token(self) -> str:
        """The token of the login; a secret."""
        return self._connection.token

    def close(self) -> None:
        """Close the connections; the token stays valid, see `logout`."""
        self._connection.close()

    def logout(self) -> None:
        """End the token."""
        self._connection.send("POST", "/logout")

    def me(self) -> Me:
        """Return who is logged in."""
        return self._connection.call("GET", "/me", Me)

    # -- backends -------------------------------------------------------------------------------

    def backends(self) -> Iterator[Backend]:
        """Yield every backend, oldest first, connected or not."""
        return self._pages("/backends", Backend)

    def backend(self, backend: str) -> Backend:
        """Return one backend."""
        return self._connection.call("GET", _backend(backend), Backend)

    def remove_backend(self, backend: str) -> None:
        """End a backend's token and forget it; its programs go on, and it can enrol again."""
        self._connection.send("DELETE", _backend(backend))

    # -- programs -------------------------------------------------------------------------------

    def execute(self, backend: str, cmd: Sequence[str]) -> Started:
        """Start a program; `cmd` is an argument vector, no shell reads it."""
        return self._connection.call("POST", f"{_backend(backend)}/processes", Started, body={"cmd": list(cmd)})

    def processes(self, backend: str, *, everything: bool = False) -> list[Process]:
        """List the programs that Quix started, or with `everything` all that the agent sees."""
        return [*self._pages(f"{_backend(backend)}/processes", Process, {"verb": "2" if everything else "1"})]

    def signal(self, backend: str, pid: int, mode: str = "SIGTERM") -> None:
        """Send SIGTERM, SIGKILL or SIGHUP to a program that Quix started."""
        self._connection.send("POST", f"{_backend(backend)}/processes/{pid}/signal", body={"mode": mode})

    def runs(self, backend: str) -> Iterator[Run]:
        """Yield the programs that were started on a backend, oldest first."""
        return self._pages(f"{_backend(backend)}/runs", Run)

    def run(self, backend: str, run_id: str) -> Run:
        """Return one run."""
        return self._connection.call("GET", f"{_backend(backend)}/runs/{_segment(run_id, 'run_id')}", Run)

    # -- telemetry ------------------------------------------------------------------------------

    def telemetry(self, backend: str, stat_types: Sequence[str] = STAT_TYPES) -> TeleData:
        """Have a backend measure itself now."""
        params = {"stat_types": ",".join(stat_types)}
        return self._connection.call("GET", f"{_backend(backend)}/telemetry", TeleData, params=params)

    # -- VPN ------------------------------------------------------------------------------------

    def leases(self) -> Iterator[Lease]:
        """Yield the VPN leases of all backends, revoked ones too."""
        return self._pages("/vpn", Lease)

    def lease(self, backend: str) -> Lease:
        """Return a backend's VPN lease, also where it is revoked."""
        return self._connection.call("GET", f"{_backend(backend)}/vpn", Lease)

    def vpn_configuration(self, backend: str, conf_type: str = "wireguard", tun_mode: str = "udp") -> Configuration:
        """Make a configuration for a backend; what was handed out before ends to work."""
        body = {"conf_type": conf_type, "tun_mode": tun_mode}
        return self._connection.call("POST", f"{_backend(backend)}/vpn", Configuration, body=body)

    def revoke_lease(self, backend: str) -> None:
        """Withdraw a backend's VPN lease; it keeps the addresses for when the lease is restored."""
        self._connection.send("DELETE", f"{_backend(backend)}/vpn")

    def restore_lease(self, backend: str) -> Lease:
        """Put a revoked VPN lease in force again, with its addresses; one that is in force is left as it is.

        A revoked lease has no configuration any more: the backend is given one when it asks, or by
        `vpn_configuration`.
        """
        return self._connection.call("POST", f"{_backend(backend)}/vpn/restore", Lease)

    # -- users ----------------------------------------------------------------------------------

    def users(self) -> Iterator[User]:
        """Yield the users by name."""
        return self._pages("/users", User)

    def add_user(self, name: str, role: str, password: str) -> User:
        """Add a user; `role` is admin, operator, viewer or enroller."""
        return self._connection.call("POST", "/users", User, body={"name": name, "role": role, "password": password})

    def set_role(self, name: str, role: str) -> User:
        """Give a user another role; it holds at once."""
        return self._connection.call("PATCH", _user(name), User, body={"role": role})

    def set_password(self, name: str, password: str) -> User:
        """Give a user another password; the user's logins end."""
        return self._connection.call("PATCH", _user(name), User, body={"password": password})

    def remove_user(self, name: str) -> None:
        """Remove a user and end the user's logins; backends that the user enrolled stay."""
        self._connection.send("DELETE", _user(name))

    def _pages(self, path: str, kind: type[T], params: dict[str, str] | None = None) -> Iterator[T]:
        asked = {**(params or {}), "limit": str(_PAGE)}
        while True:
            page = self._connection.call("GET", path, _Page, params=asked)
            items: list[T] = self._connection.decode(page.items, list[kind])  # type: ignore[valid-type]
            yield from items
            if page.next is None:
                return
            asked["after"] = page.next


def _backend(backend: str) -> str:
    if "/" in backend:
        # HTTP servers take an encoded slash for a real one, so no path can name this.
        raise QuixError(f"backend: {backend!r} holds a slash; name it by its id", Exit.NO_BACKEND)
    return f"/backends/{_segment(backend, 'backend')}"


def _user(name: str) -> str:
    return f"/users/{_segment(name, 'name')}"


def _segment(text: str, field: str) -> str:
    """Return `text` as one step of a path: "." and ".." are names here, and no steps upwards."""
    if not text:
        raise QuixError(f"{field}: it must not be empty", Exit.DATA)
    return quote(text, safe="", errors="surrogateescape").replace(".", "%2E")
