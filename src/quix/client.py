"""The Python SDK: everything that REST can do, as typed methods.

from quix.client import Client

with Client.login("http://127.0.0.1:8480", "admin", password) as quix:
    for backend in quix.backends():
        print(backend.name, backend.connected)
    started = quix.execute("web-1", ["uptime"])
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import msgspec
from msgspec import Struct

from quix.exits import Exit, QuixError
from quix.wire.messages import STAT_TYPES, AgentFacts, Process, TeleData

T = TypeVar("T")

__all__ = [
    "ApiError",
    "Backend",
    "Client",
    "Configuration",
    "DeniedError",
    "Lease",
    "Me",
    "NotQuixServerError",
    "OfflineError",
    "RefusedError",
    "Run",
    "ServerUnreachableError",
    "Started",
    "UnknownBackendError",
    "UnknownOutcomeError",
    "User",
]

_PAGE: Final = 500
_TIMEOUT: Final = 60.0
"""Seconds for one request; longer than a server waits for a backend, so that the server's own answer is heard."""


class Backend(Struct, frozen=True, kw_only=True):
    """A machine that has enrolled. Times in epoch seconds; `facts` None where the agent tells none."""

    id: str
    name: str
    connected: bool
    connected_since: float | None
    address: str
    enrolled_by: str
    created_at: float
    last_seen: float
    facts: AgentFacts | None
    extensions: dict[str, int]


class Started(Struct, frozen=True):
    """`proc_id` is the process ID on the backend; pids are used again, `run_id` is not."""

    proc_id: int
    run_id: str


class Run(Struct, frozen=True, kw_only=True):
    """One execution of a program; `started_at` in epoch seconds."""

    id: str
    backend_id: str
    cmd: list[str]
    proc_id: int
    started_by: str
    started_at: float


class Lease(Struct, frozen=True, kw_only=True):
    """A backend's VPN addresses. Times in epoch seconds."""

    backend_id: str
    conf_type: str
    address4: str
    address6: str
    public_key: str | None
    issued_at: float
    revoked_at: float | None


class Configuration(Struct, frozen=True):
    """`conf_data` is a complete configuration file, private key included."""

    conf_type: str
    conf_data: str

    def __repr__(self) -> str:
        return f"Configuration(conf_type={self.conf_type!r})"


class User(Struct, frozen=True, kw_only=True):
    """`role` is admin, operator, viewer or enroller; `created_at` in epoch seconds."""

    name: str
    role: str
    created_at: float


class Me(Struct, frozen=True):
    """Who is logged in."""

    username: str
    role: str


class _Login(Struct):
    token: str


class _Page(Struct):
    items: msgspec.Raw
    next: str | None


class _Error(Struct):
    reason: str
    detail: str


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
    """It was sent and no answer came (502, 504): it may or may not have been done. Nothing is sent a second time."""

    exit_code = Exit.UNKNOWN_OUTCOME


class RefusedError(ApiError):
    """The backend, or the server for it, said no (422); `reason` is the one of the protocol."""


class ServerUnreachableError(QuixError):
    """No answer from the server at all."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Exit.UNAVAILABLE)


class NotQuixServerError(QuixError):
    """What answered is no Quix server: most likely the URL is wrong."""

    def __init__(self, url: str) -> None:
        super().__init__(f"{url}: what answers there is no Quix server; check the URL", Exit.PROTOCOL)


_BY_STATUS: Final[Mapping[int, type[ApiError]]] = {
    400: RequestInvalidError,
    401: DeniedError,
    403: DeniedError,
    413: RequestInvalidError,
    422: RefusedError,
    429: OfflineError,
    502: UnknownOutcomeError,
    503: OfflineError,
    504: UnknownOutcomeError,
}
_BY_REASON: Final[Mapping[str, type[ApiError]]] = {
    "backend_unknown": UnknownBackendError,
    "backend_ambiguous": UnknownBackendError,
    "backend_offline": OfflineError,
}


class Client:
    """A session with a control server. A backend is named by its id, or by its name where that is unique.

    Every method raises an `ApiError` where the server says no, `ServerUnreachableError` where it does not
    answer, and `NotQuixServerError` where something else does.

    Args:
        url: http(s)://HOST:PORT of the operators' door.
        token: what `login` gave.
        timeout: seconds for one request.
        ca: a PEM file of authorities to trust instead of the system's.
        allow_plaintext: send secrets over plain http to other machines than this one.
    """

    def __init__(
        self, url: str, token: str = "", *, timeout: float = _TIMEOUT, ca: str = "", allow_plaintext: bool = False
    ) -> None:
        self.url = url.rstrip("/")
        self.token = token
        _check_url(self.url, allow_plaintext)
        trust = ssl.create_default_context(cafile=ca or None) if self.url.startswith("https:") else False
        self._http = httpx.Client(base_url=f"{self.url}/api/v1", timeout=timeout, verify=trust)

    @classmethod
    def login(cls, url: str, username: str, password: str, **options: Any) -> Self:
        """Log in and return a client with the token; `options` are those of the class."""
        client = cls(url, **options)
        try:
            body = {"username": username, "password": password}
            client.token = client._call("POST", "/login", _Login, json=body).token
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

    def close(self) -> None:
        """Close the connections; the token stays valid, see `logout`."""
        self._http.close()

    def logout(self) -> None:
        """End the token."""
        self._send("POST", "/logout")

    def me(self) -> Me:
        """Return who is logged in."""
        return self._call("GET", "/me", Me)

    # -- backends -------------------------------------------------------------------------------

    def backends(self) -> Iterator[Backend]:
        """Yield every backend, oldest first, connected or not."""
        return self._pages("/backends", Backend)

    def backend(self, backend: str) -> Backend:
        return self._call("GET", _path(backend), Backend)

    def remove_backend(self, backend: str) -> None:
        """End a backend's token and forget it; its programs go on, and it can enrol again."""
        self._send("DELETE", _path(backend))

    # -- programs -------------------------------------------------------------------------------

    def execute(self, backend: str, cmd: Sequence[str]) -> Started:
        """Start a program; `cmd` is an argument vector, no shell reads it."""
        return self._call("POST", f"{_path(backend)}/processes", Started, json={"cmd": list(cmd)})

    def processes(self, backend: str, *, everything: bool = False) -> list[Process]:
        """List the programs that Quix started, or with `everything` all that the agent sees."""
        return [*self._pages(f"{_path(backend)}/processes", Process, verb=2 if everything else 1)]

    def signal(self, backend: str, pid: int, mode: str = "SIGTERM") -> None:
        """Send SIGTERM, SIGKILL or SIGHUP to a program that Quix started."""
        self._send("POST", f"{_path(backend)}/processes/{pid}/signal", json={"mode": mode})

    def runs(self, backend: str) -> Iterator[Run]:
        """Yield the programs that were started on a backend, oldest first."""
        return self._pages(f"{_path(backend)}/runs", Run)

    # -- telemetry ------------------------------------------------------------------------------

    def telemetry(self, backend: str, stat_types: Sequence[str] = STAT_TYPES) -> TeleData:
        """Have a backend measure itself now."""
        params = {"stat_types": ",".join(stat_types)}
        return self._call("GET", f"{_path(backend)}/telemetry", TeleData, params=params)

    # -- VPN ------------------------------------------------------------------------------------

    def leases(self) -> Iterator[Lease]:
        """Yield the VPN leases of all backends."""
        return self._pages("/vpn", Lease)

    def vpn_configuration(self, backend: str, conf_type: str = "wireguard", tun_mode: str = "udp") -> Configuration:
        """Make a configuration for a backend; what was handed out before ends to work, a revoked lease is restored."""
        body = {"conf_type": conf_type, "tun_mode": tun_mode}
        return self._call("POST", f"{_path(backend)}/vpn", Configuration, json=body)

    def revoke_lease(self, backend: str) -> None:
        """Withdraw a backend's VPN lease; it keeps the addresses for when the lease is restored."""
        self._send("DELETE", f"{_path(backend)}/vpn")

    # -- users ----------------------------------------------------------------------------------

    def users(self) -> Iterator[User]:
        return self._pages("/users", User)

    def add_user(self, name: str, role: str, password: str) -> User:
        return self._call("POST", "/users", User, json={"name": name, "role": role, "password": password})

    def remove_user(self, name: str) -> None:
        self._send("DELETE", f"/users/{quote(name, safe='')}")

    # -- how a request is made ------------------------------------------------------------------

    def _pages(self, path: str, kind: type[T], **params: Any) -> Iterator[T]:
        params["limit"] = _PAGE
        while True:
            page = self._call("GET", path, _Page, params=params)
            yield from _decode(page.items, list[kind], self.url)  # type: ignore[valid-type]
            if page.next is None:
                return
            params["after"] = page.next

    def _call(self, method: str, path: str, kind: type[T], **options: Any) -> T:
        return _decode(self._send(method, path, **options), kind, self.url)

    def _send(self, method: str, path: str, **options: Any) -> bytes:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            response = self._http.request(method, path, headers=headers, **options)
        except httpx.HTTPError as error:
            raise ServerUnreachableError(f"{self.url}: {str(error) or type(error).__name__}") from error
        if not response.is_success:
            raise self._error(response)
        return response.content

    def _error(self, response: httpx.Response) -> QuixError:
        try:
            error = msgspec.json.decode(response.content, type=_Error)
        except msgspec.DecodeError:
            return NotQuixServerError(self.url)
        kind = _BY_REASON.get(error.reason) or _BY_STATUS.get(response.status_code, ApiError)
        return kind(error.reason, error.detail, response.status_code)


def _decode(content: bytes | msgspec.Raw, kind: type[T], url: str) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise NotQuixServerError(url) from error


def _path(backend: str) -> str:
    return f"/backends/{quote(backend, safe='')}"


def _check_url(url: str, allow_plaintext: bool) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise QuixError(f"{url!r} must begin with https:// (or http://) and name a host", Exit.DATA)
    if parts.scheme == "http" and not allow_plaintext and not _is_loopback(parts.hostname):
        raise QuixError(
            f"{url} would send secrets in the clear; use https://, or --allow-plaintext where the network is trusted",
            Exit.DATA,
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
