"""What REST gives back, as structs; a field that this version does not know is left out."""

from __future__ import annotations

from msgspec import Struct

from quix.wire.messages import AgentFacts

__all__ = ["Backend", "Configuration", "Lease", "Me", "Run", "Started", "User"]


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
    """A backend's VPN addresses; `public_key` None where no configuration is in use. Times in epoch seconds."""

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
