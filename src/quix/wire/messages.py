"""One struct for each request and answer of Quix WSI.

A request names itself (`req`), its answer's type (`answer`) and, beyond the seed, the extension
that must have been agreed before it is used. To add a request: one struct pair here, one handler in
`agent/` or `server/`, one caller on the other side.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Generic, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

A = TypeVar("A")

NonEmpty = Annotated[str, Meta(min_length=1)]

_LINE = r"^[^\x00-\x1f\x7f]*$"
"""No control characters: what a machine says of itself is shown on terminals, and kept in databases."""

_NAME = r"^[^\x00-\x1f\x7f/]*$"
"""No slash either: a name is part of a path, `/backends/NAME`."""


class Request(Struct, Generic[A], kw_only=True):
    """A request that is answered with an `A` or refused with a `Reason`."""

    req: ClassVar[str]
    answer: ClassVar[Any]
    extension: ClassVar[str | None] = None


class Done(Struct, tag_field="result", tag="success"):
    """The answer of a request that gives nothing back: `{"result": "success"}`."""


# -- authentication (seed: "Initial Authentication", "Basic Authentication") --------------------


class Authenticated(Struct, kw_only=True):
    """`validity` is the whole number of seconds the token still lives."""

    success: bool = True
    token: str | UnsetType = UNSET
    validity: int
    extensions: dict[str, int] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if not self.success:
            raise ValueError("success is false")

    def __repr__(self) -> str:
        return f"Authenticated(validity={self.validity})"


class Authenticate(Request[Authenticated], kw_only=True):
    """Enrol with username and password, or resume with the token in the envelope's `auth`."""

    req: ClassVar[str] = "authenticate"
    answer: ClassVar[Any] = Authenticated

    username: str | UnsetType = UNSET
    password: str | UnsetType = UNSET
    extensions: dict[str, int] | UnsetType = UNSET

    def __repr__(self) -> str:
        return f"Authenticate(username={self.username!r})"


# -- programs (seed: "Process Handling") ---------------------------------------------------------


class Executed(Struct, tag_field="result", tag="success"):
    """`proc_id` is the operating-system process ID of the program itself."""

    proc_id: int


class Execute(Request[Executed], kw_only=True):
    """Start a program; `cmd` is an argument vector, no shell reads it."""

    req: ClassVar[str] = "execute"
    answer: ClassVar[Any] = Executed

    cmd: Annotated[list[str], Meta(min_length=1)]


class Process(Struct, kw_only=True):
    """A row of `view_running`. `cpu_util` in % of one core, `mem_util` in MB (10^6 bytes), with descendants."""

    title: str
    pid: int
    cpu_util: int | float
    mem_util: int | float
    reqc: str
    port_util: list[int]


class ViewRunning(Request[list[Process]], kw_only=True):
    """List programs: with `verb` 1 those that Quix started, with 2 or more all that the agent sees."""

    req: ClassVar[str] = "view_running"
    answer: ClassVar[Any] = list[Process]

    verb: int = 1


class ProcSignal(Request[Done], kw_only=True):
    """Send SIGTERM, SIGKILL or SIGHUP (`mode`) to a program that Quix started."""

    req: ClassVar[str] = "proc_signal"
    answer: ClassVar[Any] = Done

    pid: int
    mode: str


# -- VPN (seed: "VPN Configuration") -------------------------------------------------------------


class VpnConf(Struct, tag_field="result", tag="success"):
    """A complete configuration file, private key included."""

    conf_type: str
    conf_data: str

    def __repr__(self) -> str:
        return f"VpnConf(conf_type={self.conf_type!r})"


class GetVpnConf(Request[VpnConf], kw_only=True):
    """Ask for a VPN configuration; `tun_mode` may be left out for `wireguard`, where it is always udp."""

    req: ClassVar[str] = "get_vpn_conf"
    answer: ClassVar[Any] = VpnConf

    conf_type: str
    tun_mode: str | UnsetType = UNSET


# -- telemetry (seed: "System statistics") -------------------------------------------------------


class VpnStatus(Struct, kw_only=True):
    """The VPN interface that is up; an address the interface lacks is an empty string."""

    ifname: str
    conn_type: str
    conn_host: str
    conn_ip4: str
    conn_ip6: str


class TeleData(Struct, kw_only=True):
    """Only what was asked for is set. CPU 0 to 1.00 a core; memory in MB (10^6 bytes); disks in bytes."""

    ttl_cpu_usage: list[int | float] | UnsetType = UNSET
    ttl_mem_usage: list[int | float] | UnsetType = UNSET
    disk_util: dict[str, list[int]] | UnsetType = UNSET
    vpn_status: VpnStatus | UnsetType | None = UNSET


STAT_TYPES: tuple[str, ...] = TeleData.__struct_fields__
"""The four kinds of telemetry of the seed, in its order."""


class TelemetryAnswer(Struct):
    tele_data: TeleData


class Telemetry(Request[TelemetryAnswer], kw_only=True):
    """Measure now; a kind in `stat_types` that the backend does not know is left out of the answer."""

    req: ClassVar[str] = "telemetry"
    answer: ClassVar[Any] = TelemetryAnswer

    stat_types: list[str]


# -- extension `agent` ---------------------------------------------------------------------------


class AgentFacts(Request[Done], kw_only=True):
    """What the machine is; sent by the agent once it is authenticated."""

    req: ClassVar[str] = "agent_facts"
    answer: ClassVar[Any] = Done
    extension: ClassVar[str | None] = "agent"

    name: Annotated[str, Meta(min_length=1, max_length=253, pattern=_NAME)]
    hostname: Annotated[str, Meta(max_length=253, pattern=_LINE)]
    os: Annotated[str, Meta(max_length=200, pattern=_LINE)]
    kernel: Annotated[str, Meta(max_length=200, pattern=_LINE)]
    arch: Annotated[str, Meta(max_length=50, pattern=_LINE)]
    agent_version: Annotated[str, Meta(max_length=50, pattern=_LINE)]
    boot_id: Annotated[str, Meta(max_length=64, pattern=_LINE)]
    labels: Annotated[
        dict[
            Annotated[str, Meta(min_length=1, max_length=63, pattern=_LINE)],
            Annotated[str, Meta(max_length=253, pattern=_LINE)],
        ],
        Meta(max_length=64),
    ] = msgspec.field(default_factory=dict)


# -- extension `token` ---------------------------------------------------------------------------


class RenewedToken(Struct, tag_field="result", tag="success"):
    """The old token dies when the new one is first used, or at its own end."""

    token: str
    validity: int

    def __repr__(self) -> str:
        return f"RenewedToken(validity={self.validity})"


class RenewToken(Request[RenewedToken], kw_only=True):
    """Ask for the next token before this one expires, without becoming a new backend."""

    req: ClassVar[str] = "renew_token"
    answer: ClassVar[Any] = RenewedToken
    extension: ClassVar[str | None] = "token"
