"""Everything `quix agent` can be told, by flag, `QUIX_*` variable or TOML (docs/configuration.md)."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from quix.logs import LogFormat, LogLevel
from quix.supervisor.settings import SandboxMode


class AgentSettings(Struct, kw_only=True, forbid_unknown_fields=True):
    """`server` is a ws:// or wss:// URL. `data_dir` holds `agent/` (token, journal; 0700) and `data/` (the
    programs' folder)."""

    server: str
    data_dir: Path
    username: str = ""
    password_file: Path | None = None
    name: Annotated[str, Meta(max_length=253)] = field(default_factory=socket.gethostname)
    labels: dict[str, str] = field(default_factory=dict)
    sandbox: SandboxMode = "landlock"
    program_user: str = ""
    vpn: Literal["wireguard", "openvpn"] | None = None
    re_enroll: bool = False
    allow_plaintext: bool = False
    tls_ca: Path | None = None
    tls_fingerprint: str = ""
    seed_only: bool = False
    max_message: Annotated[int, Meta(gt=0)] = 2**20
    log_format: LogFormat = "console"
    log_level: LogLevel = "info"
