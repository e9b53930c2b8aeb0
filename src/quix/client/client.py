# Made from aio/client.py by tools/sync_client.py: change that, and run `make sdk`.

"""The client itself: one method for each route."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

import msgspec
from msgspec import Struct

from quix.client.access import AccessCalls
from quix.client.alerts import AlertCalls
from quix.client.connection import Connection
from quix.client.enrolments import EnrolmentCalls
from quix.client.errors import NoAnswerError, UnknownOutcomeError
from quix.client.follow import PATIENCE, Follower
from quix.client.models import Backend, Configuration, Lease, Me, Run, Started, TelemetryHistory
from quix.client.paths import backend_path, run_path, segment
from quix.client.start import PATIENCE as START_PATIENCE
from quix.client.start import Start
from quix.client.transport import CONNECTIONS
from quix.wire.messages import STAT_TYPES, Process, RunOutput, TeleData
from quix.wire.runs import RunOptions, Terminal
from quix.wire.samples import METRICS

TIMEOUT: Final = 60.0
"""Seconds for one request; longer than a server waits for a backend, so that the server's own answer is heard."""


class _Login(Struct):
    token: str


class _Received(Struct):
    received: int


class _Peers(Struct):
    conf_data: str


class Client(AccessCalls, EnrolmentCalls, AlertCalls):
    """A session with a control server. A backend is named by its id, or by its name where that is unique.

    Every method raises an `ApiError` where the server says no, `ServerUnreachableError` where it cannot be reached,
    `NoAnswerError` where a change was sent and not answered, and `NotQuixServerError` where something else answers.

    Args:
        url: http(s)://HOST:PORT of the operators' door. Plain http goes to this machine alone, see `allow_plaintext`.
        token: what `login` gave.
        timeout: seconds for one request.
        ca: a PEM file of authorities to trust instead of the system's.
        allow_plaintext: send secrets over plain http to other machines than this one.
        connections: how many there are at one moment; requests beyond wait for one of them.

    Raises:
        QuixError: one of these cannot be used.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        timeout: float = TIMEOUT,
        *,
        ca: str = "",
        allow_plaintext: bool = False,
        connections: int = CONNECTIONS,
    ) -> None:
        self._connection = Connection(url, token, timeout, ca, allow_plaintext=allow_plaintext, connections=connections)

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
        connections: int = CONNECTIONS,
    ) -> Self:
        """Log in and return a client with the token."""
        client = cls(url, "", timeout, ca=ca, allow_plaintext=allow_plaintext, connections=connections)
        try:
            body = {"username": username, "password": password}
            client._connection.token = (client._connection.call("POST", "/login", _Login, body=body)).token
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
        return f"{type(self).__name__}({self.url!r})"

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

    def backends(
        self,
        search: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        state: str = "",
        sort: str = "created",
        recent: bool = False,
    ) -> Generator[Backend]:
        """Yield the backends, the oldest first unless `sort` says otherwise: name or last_seen; with `-` the other way.

        Those with `search` in their name or address or at the beginning of their id, all of the `labels`, and that are
        so: online, offline or revoked. With `recent` each `load` has the last samples.
        """
        texts = {"search": search, "state": state, "sort": sort, "recent": "true" if recent else ""}
        wanted: dict[str, str | list[str]] = {name: text for name, text in texts.items() if text}
        if labels:
            wanted["label"] = [f"{name}={value}" for name, value in labels.items()]
        return self._pages("/backends", Backend, wanted)

    def backend(self, backend: str) -> Backend:
        """Return one backend."""
        return self._connection.call("GET", backend_path(backend), Backend)

    def add_backend(self, name: str) -> Backend:
        """Add a phone or a laptop that is to have a VPN configuration and runs no agent."""
        return self._connection.call("POST", "/backends", Backend, body={"name": name})

    def rename_backend(self, backend: str, name: str | None) -> Backend:
        """Give a backend a name, or with None its own again."""
        return self._connection.call("PATCH", backend_path(backend), Backend, body={"name": name})

    def label_backend(self, backend: str, labels: Mapping[str, str | None]) -> Backend:
        """Give a backend labels, beside and above its agent's own; one that is None is taken away."""
        return self._connection.call("PATCH", backend_path(backend), Backend, body={"labels": dict(labels)})

    def revoke_backend(self, backend: str) -> Backend:
        """End a backend's token and VPN lease for good, and keep it in the list."""
        return self._connection.call("POST", f"{backend_path(backend)}/revoke", Backend)

    def remove_backend(self, backend: str) -> None:
        """End a backend's token and forget it; its programs go on, and it can enrol again."""
        self._connection.send("DELETE", backend_path(backend))

    # -- programs -------------------------------------------------------------------------------

    def execute(
        self,
        backend: str,
        cmd: Sequence[str],
        options: RunOptions | None = None,
        *,
        key: str = "",
        patience: float = START_PATIENCE,
    ) -> Started:
        """Start a program; `cmd` is an argument vector, no shell reads it.

        The `key` is a name of this request's own, of letters, digits, `-` and `_`; without one it is given one. With
        the same key the same may be asked again after any failure: it starts one program, and gives the same answer.
        Where it was sent and no usable answer came, it is asked again here, for `patience` seconds.
        `NoAnswerError.key` and `UnknownOutcomeError.key` are for asking again later. `options` are for agents that keep
        runs.
        """
        key = key or uuid.uuid4().hex
        body = {"cmd": list(cmd), **msgspec.to_builtins(options or RunOptions())}
        try:
            return Start(self._connection, backend, body, key).ask(patience)
        except (NoAnswerError, UnknownOutcomeError) as error:
            error.key = key
            raise

    def processes(self, backend: str, *, everything: bool = False) -> list[Process]:
        """List the programs that Quix started, or with `everything` all that the agent sees."""
        items, _ = self._page(f"{backend_path(backend)}/processes", Process, {"verb": "2" if everything else "1"})
        return items

    def signal(self, backend: str, pid: int, mode: str = "SIGTERM") -> None:
        """Signal a program that Quix started; every agent knows SIGTERM, SIGKILL and SIGHUP."""
        self._connection.send("POST", f"{backend_path(backend)}/processes/{pid}/signal", body={"mode": mode})

    def runs(self, backend: str) -> Generator[Run]:
        """Yield the programs that were started on a backend, oldest first."""
        return self._pages(f"{backend_path(backend)}/runs", Run)

    def run(self, backend: str, run_id: str) -> Run:
        """Return one run."""
        return self._connection.call("GET", run_path(backend, run_id), Run)

    def signal_run(self, backend: str, run_id: str, mode: str = "SIGTERM") -> None:
        """Signal the program of a run; one that is told to end is not started again."""
        self._connection.send("POST", f"{run_path(backend, run_id)}/signal", body={"mode": mode})

    def read_output(
        self,
        backend: str,
        run_id: str,
        stdout: int = 0,
        stderr: int = 0,
        *,
        limit: int = 2**19,
        wait: float = 0,
        acknowledge: bool = False,
        unattended: bool = False,
    ) -> RunOutput:
        """Return what a run wrote from the bytes `stdout` and `stderr` on, up to `limit` bytes together.

        Where there is nothing yet, the answer comes as soon as there is, or after `wait` seconds (20 at most).
        `acknowledge`: what is before these bytes has arrived, so a run that waits for that goes on. `unattended`:
        nobody waits for it any more, so from here on it waits for nobody. See `quix.client.follow`.
        """
        params = {
            "stdout": str(stdout),
            "stderr": str(stderr),
            "limit": str(limit),
            "wait": str(wait),
            "acknowledge": "true" if acknowledge else "false",
            "unattended": "true" if unattended else "false",
        }
        return self._connection.call("GET", f"{run_path(backend, run_id)}/output", RunOutput, params=params)

    def follow(
        self,
        backend: str,
        run_id: str,
        stdout: int = 0,
        stderr: int = 0,
        *,
        acknowledge: bool = False,
        patience: float = PATIENCE,
    ) -> Generator[RunOutput]:
        """Yield what a run writes, from these bytes on, until it has ended and all was read; across lost connections,
        each byte once.

        The last one's `state` says how the run ended. `acknowledge`: a run that waits for what it wrote to arrive
        (`overflow` wait) goes on as this is read. Fails after `patience` seconds without any answer.
        """
        follower = Follower(self, backend, run_id, stdout, stderr, acknowledge=acknowledge, patience=patience)
        return follower.follow()

    def write_input(self, backend: str, run_id: str, offset: int, data: bytes, *, end: bool = False) -> int:
        """Give a run input that begins at the byte `offset` of it; return how many bytes it has taken so far.

        What was taken before is not taken twice, so the same may be sent again after any failure.
        """
        body = {"offset": offset, "data": data, "end": end}
        answer = self._connection.call("POST", f"{run_path(backend, run_id)}/input", _Received, body=body)
        return answer.received

    def resize_terminal(self, backend: str, run_id: str, size: Terminal) -> None:
        """Tell the terminal of a run its size."""
        self._connection.send("POST", f"{run_path(backend, run_id)}/terminal", body=size)

    # -- telemetry ------------------------------------------------------------------------------

    def telemetry(self, backend: str, stat_types: Sequence[str] = STAT_TYPES) -> TeleData:
        """Have a backend measure itself now."""
        params = {"stat_types": ",".join(stat_types)}
        return self._connection.call("GET", f"{backend_path(backend)}/telemetry", TeleData, params=params)

    def telemetry_history(
        self,
        backend: str,
        start: float | None = None,
        end: float | None = None,
        *,
        points: int = 300,
        metrics: Sequence[str] = METRICS,
    ) -> TelemetryHistory:
        """Return how a backend was from `start` to `end` (epoch seconds; without them the last hour), in `points`
        points of each metric at most."""
        params = {"points": str(points), "metrics": ",".join(metrics)}
        params |= {} if start is None else {"from": repr(start)}
        params |= {} if end is None else {"to": repr(end)}
        return self._connection.call(
            "GET", f"{backend_path(backend)}/telemetry/history", TelemetryHistory, params=params
        )

    # -- VPN ------------------------------------------------------------------------------------

    def leases(self) -> Generator[Lease]:
        """Yield the VPN leases of all backends, revoked ones too."""
        return self._pages("/vpn", Lease)

    def lease(self, backend: str, conf_type: str = "wireguard") -> Lease:
        """Return a backend's VPN lease, also where it is revoked."""
        return self._connection.call("GET", f"{backend_path(backend)}/vpn", Lease, params={"conf_type": conf_type})

    def vpn_configuration(self, backend: str, conf_type: str = "wireguard", tun_mode: str = "udp") -> Configuration:
        """Make a configuration for a backend; what was handed out before ends to work."""
        body = {"conf_type": conf_type, "tun_mode": tun_mode}
        return self._connection.call("POST", f"{backend_path(backend)}/vpn", Configuration, body=body)

    def revoke_lease(self, backend: str, conf_type: str = "wireguard") -> None:
        """Withdraw a backend's VPN lease; it keeps the addresses for when the lease is restored."""
        self._connection.send("DELETE", f"{backend_path(backend)}/vpn", params={"conf_type": conf_type})

    def restore_lease(self, backend: str, conf_type: str = "wireguard") -> Lease:
        """Put a revoked VPN lease in force again, with its addresses; one that is in force is left as it is.

        A revoked lease has no configuration any more: the backend is given one when it asks, or by
        `vpn_configuration`.
        """
        params = {"conf_type": conf_type}
        return self._connection.call("POST", f"{backend_path(backend)}/vpn/restore", Lease, params=params)

    def change_tunnel(self, backend: str, change: str, conf_type: str = "wireguard") -> None:
        """Have a backend's agent bring its tunnel `up` or `down`, for good, or `rotate` its keys."""
        params = {"conf_type": conf_type}
        self._connection.send("POST", f"{backend_path(backend)}/vpn/{segment(change, 'change')}", params=params)

    def vpn_peers(self) -> str:
        """Return the peer sections of all backends, secrets included, for a WireGuard server that Quix does not run."""
        return (self._connection.call("GET", "/vpn/peers", _Peers)).conf_data
