"""Everything `quix server` can be told, by flag, `QUIX_*` variable or TOML (docs/configuration.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from quix import units
from quix.logs import LogFormat, LogLevel
from quix.vpn.interface import InterfaceName

Port = Annotated[str, Meta(pattern=r"^.*:\d{1,5}(?!\n)$")]
Positive = Annotated[int, Meta(gt=0)]
Seconds = Annotated[float, Meta(gt=0)]


class WireGuardSettings(Struct, kw_only=True, forbid_unknown_fields=True):
    """`[vpn.wireguard]`. Backends are told to reach the server at `endpoint` (HOST:PORT).

    The first address of each pool is the server's own. `device` auto: the kernel's WireGuard, else wireguard-go; none:
    configurations are handed out, and the interface itself is somebody else's. `topology` hub: backends reach the
    server and each other; isolated: the server alone.
    """

    enabled: bool = False
    endpoint: Port = "localhost:51820"
    interface: InterfaceName = "quix0"
    pool4: str = "10.83.0.0/16"
    pool6: str = "fd83:7175:6978::/64"
    device: Literal["auto", "kernel", "wireguard-go", "none"] = "auto"
    topology: Literal["hub", "isolated"] = "hub"


class OpenVpnSettings(Struct, kw_only=True, forbid_unknown_fields=True):
    """`[vpn.openvpn]`. Backends are told to reach the server at `endpoint` (HOST:PORT), over tcp at `endpoint_tcp`
    where that is another; `port_udp` and `port_tcp` are listened to where those are others than the endpoints'.

    The daemons' interfaces are `interface` with -udp and -tcp. The lower half of each pool is for udp, the upper for
    tcp, and the first address of each half is the server's own. `daemon` none: configurations are written, and running
    openvpn with them is somebody else's. `topology`: as WireGuard's.
    """

    enabled: bool = False
    endpoint: Port = "localhost:1194"
    endpoint_tcp: Port | Literal[""] = ""
    port_udp: Annotated[int, Meta(ge=0, le=65535)] = 0
    port_tcp: Annotated[int, Meta(ge=0, le=65535)] = 0
    interface: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_=+-][A-Za-z0-9_=+.-]{0,10}(?!\n)$")] = "quixo"
    pool4: str = "10.84.0.0/16"
    pool6: str = "fd83:7175:6978:1::/64"
    daemon: Literal["run", "none"] = "run"
    topology: Literal["hub", "isolated"] = "hub"

    def endpoint_of(self, mode: Literal["udp", "tcp"]) -> str:
        """Return the HOST:PORT that backends reach the daemon at."""
        return (self.endpoint_tcp or self.endpoint) if mode == "tcp" else self.endpoint

    def device(self, mode: Literal["udp", "tcp"]) -> str:
        """Return the name of the daemon's interface."""
        return f"{self.interface}-{mode}"

    def port(self, mode: Literal["udp", "tcp"]) -> int:
        """Return the port that the daemon listens to."""
        given = self.port_tcp if mode == "tcp" else self.port_udp
        return given or int(self.endpoint_of(mode).rpartition(":")[2])


class VpnSettings(Struct, kw_only=True, forbid_unknown_fields=True):
    wireguard: WireGuardSettings = field(default_factory=WireGuardSettings)
    openvpn: OpenVpnSettings = field(default_factory=OpenVpnSettings)


class TelemetrySettings(Struct, kw_only=True, forbid_unknown_fields=True):
    """`[telemetry]`, in seconds: how often backends are sampled, and how long samples and their roll-ups of a minute
    and of an hour are kept."""

    interval: Annotated[float, Meta(ge=0.1, le=3600)] = 10.0
    raw_keep: Seconds = 2 * 3600.0
    minute_keep: Seconds = 2 * 86400.0
    hour_keep: Seconds = 365 * 86400.0


class AuditSettings(Struct, kw_only=True, forbid_unknown_fields=True):
    """`[audit]`. Rows that are older than `keep` are deleted: a number with s, m, h, d, w or y (365 days)."""

    keep: str = "1y"

    def __post_init__(self) -> None:
        if units.seconds(self.keep) <= 0:
            raise ValueError("must be more than nothing")

    @property
    def keep_seconds(self) -> float:
        return units.seconds(self.keep)


class EmailSettings(Struct, kw_only=True, forbid_unknown_fields=True):
    """`[alerts.email]`: the SMTP server that takes messages, and the address that they are from.

    `tls` starttls: the connection is made secure before anything is said; tls: it is from the start; none: it is not.
    The password is what the file `password_file` holds, which nobody but its owner may read.
    """

    host: str = ""
    port: Annotated[int, Meta(ge=1, le=65535)] = 587
    sender: str = ""
    username: str = ""
    password_file: Path | None = None
    tls: Literal["starttls", "tls", "none"] = "starttls"

    def __post_init__(self) -> None:
        if self.host and not self.sender:
            raise ValueError("sender: it is needed, the address that messages are from")
        if bool(self.username) != bool(self.password_file):
            raise ValueError("username and password_file are set together or not at all")
        if self.username and self.tls == "none":
            raise ValueError("tls: a password is not sent in plain text; use starttls or tls")


class AlertSettings(Struct, kw_only=True, forbid_unknown_fields=True):
    """`[alerts]`. A message waits `gather` seconds for more alerts of its rule; an alert that is over is kept for
    `keep`, a number with s, m, h, d, w or y."""

    gather: Annotated[float, Meta(ge=0, le=3600)] = 10.0
    keep: str = "90d"
    email: EmailSettings = field(default_factory=EmailSettings)

    def __post_init__(self) -> None:
        if units.seconds(self.keep) <= 0:
            raise ValueError("must be more than nothing")

    @property
    def keep_seconds(self) -> float:
        return units.seconds(self.keep)


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
    runs_keep: Positive = 90 * 86400
    max_message: Positive = 2**20
    max_in_progress: Positive = 64
    log_format: LogFormat = "console"
    log_level: LogLevel = "info"
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    vpn: VpnSettings = field(default_factory=VpnSettings)

    @property
    def database_url(self) -> str:
        """The store's SQLAlchemy URL: SQLite in the data folder unless `database` says otherwise."""
        return self.database or f"sqlite+aiosqlite:///{self.data_dir / 'quix.db'}"
