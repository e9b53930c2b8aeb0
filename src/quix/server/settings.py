"""Everything `quix server` can be told, by flag, `QUIX_*` variable or TOML (docs/configuration.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from quix.logs import LogFormat, LogLevel

Port = Annotated[str, Meta(pattern=r"^.*:\d{1,5}$")]
Positive = Annotated[int, Meta(gt=0)]
Seconds = Annotated[float, Meta(gt=0)]


class WireGuardSettings(Struct, kw_only=True, forbid_unknown_fields=True):
    """`[vpn.wireguard]`. Backends are told to reach the server at `endpoint` (HOST:PORT).

    The first address of each pool is the server's own. `device` none: configurations are handed out,
    and the interface itself is somebody else's.
    """

    enabled: bool = False
    endpoint: Port = "localhost:51820"
    interface: str = "quix0"
    pool4: str = "10.83.0.0/16"
    pool6: str = "fd83:7175:6978::/64"
    device: Literal["none"] = "none"


class VpnSettings(Struct, kw_only=True, forbid_unknown_fields=True):
    wireguard: WireGuardSettings = field(default_factory=WireGuardSettings)


class ServerSettings(Struct, kw_only=True, forbid_unknown_fields=True):
    """`listen` is where agents dial in, `http` where operators' REST requests arrive."""

    data_dir: Path
    listen: Port = "127.0.0.1:8470"
    http: Port = "127.0.0.1:8480"
    database: str = ""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_self_signed: bool = False
    token_validity: Positive = 86400
    login_validity: Positive = 12 * 3600
    auth_timeout: Seconds = 10.0
    ask_timeout: Seconds = 30.0
    max_message: Positive = 2**20
    max_in_progress: Positive = 64
    log_format: LogFormat = "console"
    log_level: LogLevel = "info"
    vpn: VpnSettings = field(default_factory=VpnSettings)

    @property
    def database_url(self) -> str:
        """The store's SQLAlchemy URL: SQLite in the data folder unless `database` says otherwise."""
        return self.database or f"sqlite+aiosqlite:///{self.data_dir / 'quix.db'}"
