"""Everything `quix agent` can be told, by flag, `QUIX_*` variable or TOML (docs/configuration.md)."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from quix.logs import LogFormat, LogLevel
from quix.supervisor.policy import KINDS, Kind
from quix.supervisor.settings import SandboxMode
from quix.vpn.interface import InterfaceName


class AgentSettings(Struct, kw_only=True, forbid_unknown_fields=True):
    """`server` is a ws:// or wss:// URL. `data_dir` holds `agent/` (token; 0700), `supervisor/` (journal) and
    `data/` (the programs' folder). `sandbox` and `program_user` are for a supervisor that the agent starts itself.
    `telemetry_fastest` is the shortest interval in seconds at which a server may have samples taken, and
    `telemetry_keep` how many of them are kept while it is away."""

    server: str
    data_dir: Path
    username: str = ""
    password_file: Path | None = None
    name: Annotated[str, Meta(max_length=253)] = field(default_factory=socket.gethostname)
    labels: dict[str, str] = field(default_factory=dict)
    sandbox: SandboxMode = "landlock"
    program_user: str = ""
    max_programs: Annotated[int, Meta(ge=1)] = 256
    policy: Path | None = None
    allow: tuple[Kind, ...] = KINDS
    telemetry_fastest: Annotated[float, Meta(ge=0.1, le=3600)] = 1.0
    telemetry_keep: Annotated[int, Meta(ge=1000, le=1_000_000)] = 8640
    vpn: Literal["wireguard", "openvpn"] | None = None
    vpn_interface: InterfaceName = "quix0"
    vpn_mode: Literal["udp", "tcp"] = "udp"
    re_enroll: bool = False
    reconnect_max: Annotated[float, Meta(gt=0)] = 60.0
    allow_plaintext: bool = False
    tls_ca: Path | None = None
    tls_fingerprint: str = ""
    seed_only: bool = False
    max_message: Annotated[int, Meta(gt=0)] = 2**20
    log_format: LogFormat = "console"
    log_level: LogLevel = "info"
