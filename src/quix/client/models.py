"""What REST gives back, as structs; a field that this version does not know is left out."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from quix.wire.messages import AgentFacts
from quix.wire.runs import RunOptions

__all__ = [
    "AuditRow",
    "Backend",
    "Configuration",
    "Event",
    "Lease",
    "Load",
    "Me",
    "Point",
    "Recent",
    "Run",
    "Session",
    "Started",
    "TelemetryHistory",
    "Token",
    "Traffic",
    "User",
]

Point = tuple[float, float, float, float]
"""The begin of what it covers (epoch seconds), and the lowest, the mean and the highest of that time."""


class Recent(Struct, frozen=True):
    """Shares, 0 to 1, of the last samples, oldest first; None where a sample did not tell."""

    cpu: list[float | None]
    memory: list[float | None]
    disk: list[float | None]


class Load(Struct, frozen=True, kw_only=True):
    """How a backend was at `at` (epoch seconds): shares, 0 to 1, of its processors, of its memory and of its fullest
    disk, that are in use; None where it does not tell. `recent` only where it was asked for."""

    at: float
    cpu: float | None
    memory: float | None
    disk: float | None
    recent: Recent | None = None


class TelemetryHistory(Struct, frozen=True, kw_only=True):
    """`series` has points for each metric, oldest first; where nothing was measured there is none. `resolution` is
    what they were made from (`raw`, `minute`, `hour`), `step` the seconds that each covers; 0: a sample each."""

    start: float = field(name="from")
    end: float = field(name="to")
    resolution: str
    step: float
    series: dict[str, list[Point]]


class Backend(Struct, frozen=True, kw_only=True):
    """A machine that has enrolled. Times in epoch seconds; `facts` None where the agent tells none, `load` where the
    server has seen no sample since it started.

    `name` and `labels` are those in effect; `given_name` and `given_labels` those of operators among them.
    """

    id: str
    name: str
    labels: dict[str, str] = {}
    given_name: str | None = None
    given_labels: dict[str, str] = {}
    connected: bool
    connected_since: float | None
    address: str
    enrolled_by: str
    created_at: float
    last_seen: float
    revoked_at: float | None = None
    facts: AgentFacts | None
    extensions: dict[str, int]
    load: Load | None = None


class Started(Struct, frozen=True):
    """`proc_id` is the process ID on the backend; pids are used again, `run_id` is not."""

    proc_id: int
    run_id: str


class Run(Struct, frozen=True, kw_only=True):
    """One execution of a program; times in epoch seconds.

    `state` is `starting`, `running`, `waiting` (for its next start), `ended`, `refused`, or `untracked` where the
    backend's agent tells no more of it than that it was started. `outcome` says how it ended, or why it was refused.
    """

    id: str
    backend_id: str
    cmd: list[str]
    proc_id: int
    started_by: str
    started_at: float
    options: RunOptions = RunOptions()
    state: str
    ended_at: float | None = None
    outcome: str | None = None
    exit_code: int | None = None
    exit_signal: str | None = None
    restarts: int = 0
    stdout: int = 0
    stderr: int = 0
    detail: str = ""


class Traffic(Struct, frozen=True, kw_only=True):
    """What the server's interface knows of a VPN peer: bytes `received` and `sent` by the server, and the time of the
    last handshake in epoch seconds, None before the first."""

    endpoint: str
    last_handshake: float | None
    received: int
    sent: int


class Lease(Struct, frozen=True, kw_only=True):
    """A backend's VPN addresses; `public_key` None where no configuration is in use, `traffic` where the server's
    interface does not know it. Times in epoch seconds."""

    backend_id: str
    conf_type: str
    address4: str
    address6: str
    public_key: str | None
    issued_at: float
    revoked_at: float | None
    traffic: Traffic | None = None


class Configuration(Struct, frozen=True):
    """`conf_data` is a complete configuration file, private key included."""

    conf_type: str
    conf_data: str

    def __repr__(self) -> str:
        return f"Configuration(conf_type={self.conf_type!r})"


class User(Struct, frozen=True, kw_only=True):
    """`role` is admin, operator, viewer or enroller; `labels` limit what backends are seen; `created_at` in epoch
    seconds."""

    name: str
    role: str
    created_at: float
    labels: dict[str, str] = {}


class AuditRow(Struct, frozen=True, kw_only=True):
    """Something that somebody did. `id` counts up; `user` is empty where a backend or the server did it; `outcome` is
    `success`, or the reason why not. `at` in epoch seconds."""

    id: int
    at: float
    user: str
    address: str
    action: str
    backend_id: str
    target: str
    outcome: str
    detail: dict[str, str | int]
    hash: str


class Event(Struct, frozen=True, kw_only=True):
    """Something that has happened; docs/access.md lists the kinds and their `data`. `at` in epoch seconds."""

    id: int
    at: float
    kind: str
    backend_id: str
    data: dict[str, Any]


class Token(Struct, frozen=True, kw_only=True):
    """A personal token; `token` itself is known only right after it was made. `backends` None: all that have the
    `labels`. Times in epoch seconds."""

    id: str
    user: str
    name: str
    role: str
    labels: dict[str, str]
    backends: list[str] | None
    created_at: float
    expires_at: float
    used_at: float | None
    token: str = ""

    def __repr__(self) -> str:
        return f"Token(id={self.id!r}, name={self.name!r}, role={self.role!r})"


class Enrolment(Struct, frozen=True, kw_only=True):
    """An enrolment key, of whose `uses` some are `used`; `labels` are given to each backend. Times in epoch seconds."""

    id: str
    name: str
    created_by: str
    created_at: float
    expires_at: float
    uses: int
    used: int
    labels: dict[str, str]


class MadeEnrolment(Struct, frozen=True, kw_only=True):
    """A key that was just made; `command` is the line for a machine's shell, and holds the secret. `expires_at` in
    epoch seconds."""

    id: str
    name: str
    command: str
    expires_at: float
    uses: int
    labels: dict[str, str]

    def __repr__(self) -> str:
        return f"MadeEnrolment(id={self.id!r}, name={self.name!r})"


class Session(Struct, frozen=True, kw_only=True):
    """A login. `is_this`: it is that of the client which asked. Times in epoch seconds."""

    id: str
    user: str
    address: str
    user_agent: str
    created_at: float
    expires_at: float
    used_at: float | None
    is_this: bool


class Me(Struct, frozen=True):
    """Who asks; `labels` and `backends` (None: all) limit what backends are seen."""

    username: str
    role: str
    labels: list[tuple[str, str]] = []
    backends: list[str] | None = None
