"""One struct for each request and answer of Quix WSI.

A request names itself (`req`), its answer's type (`answer`) and, beyond the seed, the extension
that must have been agreed before it is used. To add a request: one struct pair here, one handler in
`agent/` or `server/`, one caller on the other side.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from quix.wire.runs import Chunk, Offset, RunKey, RunOptions, RunState, Terminal
from quix.wire.samples import LARGEST_PUSH, Sample, Seq, Series

A = TypeVar("A")

NonEmpty = Annotated[str, Meta(min_length=1)]

_LINE = r"^[^\x00-\x1f\x7f]*(?!\n)$"
"""No control characters: what a machine says of itself is shown on terminals, and kept in databases."""

MachineName = Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[^\x00-\x1f\x7f/]*(?!\n)$")]
"""No slash either: a name is part of a path, `/backends/NAME`."""


LabelName = Annotated[str, Meta(min_length=1, max_length=63, pattern=_LINE)]
LabelValue = Annotated[str, Meta(max_length=253, pattern=_LINE)]


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


# -- extension `process` -------------------------------------------------------------------------


class ExecuteRun(Request[Executed], kw_only=True):
    """`execute` where the extension was agreed: start a run, once, however often it is asked for by the same `key`.

    `proc_id` of the answer is the pid of its first start.
    """

    req: ClassVar[str] = "execute"
    answer: ClassVar[Any] = Executed
    extension: ClassVar[str | None] = "process"

    cmd: Annotated[list[str], Meta(min_length=1)]
    key: RunKey
    options: RunOptions = RunOptions()


class SignalRun(Request[Done], kw_only=True):
    """`proc_signal` where the extension was agreed: more signals, and a run can be named by its key (`run`).

    A run that is told to end by SIGTERM, SIGKILL, SIGINT or SIGQUIT is not started again.
    """

    req: ClassVar[str] = "proc_signal"
    answer: ClassVar[Any] = Done
    extension: ClassVar[str | None] = "process"

    mode: str
    pid: int = 0
    run: RunKey | UnsetType = UNSET


class RunOutput(Struct, kw_only=True):
    """What a run wrote, and how it is. No chunks: nothing came after the offsets within the time asked for."""

    state: RunState
    chunks: list[Chunk]


class ReadOutput(Request[RunOutput], kw_only=True):
    """Read what a run wrote from the offsets `stdout` and `stderr` on, up to `limit` bytes together.

    Where there is nothing yet, the answer comes as soon as there is, after `wait` seconds at the latest. `acknowledge`:
    what is before the offsets has arrived where it was wanted, and need not be kept for it. `unattended`: nobody waits
    for the output any more, so from here on the run does not wait for anybody (`RunOptions.overflow`).
    """

    req: ClassVar[str] = "read_output"
    answer: ClassVar[Any] = RunOutput
    extension: ClassVar[str | None] = "process"

    run: RunKey
    stdout: Offset = 0
    stderr: Offset = 0
    limit: Annotated[int, Meta(ge=1, le=2**19)] = 2**19
    wait: Annotated[float, Meta(ge=0, le=60)] = 0
    acknowledge: bool = False
    unattended: bool = False


class InputReceived(Struct, tag_field="result", tag="success"):
    """`received` bytes were taken so far; what is beyond has to be sent again, later."""

    received: Offset


class WriteInput(Request[InputReceived], kw_only=True):
    """Give a run `data` (base64), which begins at `offset` of its input; `end`: nothing follows."""

    req: ClassVar[str] = "write_input"
    answer: ClassVar[Any] = InputReceived
    extension: ClassVar[str | None] = "process"

    run: RunKey
    offset: Offset
    data: Annotated[bytes, Meta(max_length=2**19)] = b""
    end: bool = False


class ResizeTerminal(Request[Done], kw_only=True):
    """Tell the terminal of a run its size."""

    req: ClassVar[str] = "resize_terminal"
    answer: ClassVar[Any] = Done
    extension: ClassVar[str | None] = "process"

    run: RunKey
    size: Terminal


class RunStates(Request[Done], kw_only=True):
    """Sent by the agent: what became of runs. Success acknowledges it: an end is told again until then."""

    req: ClassVar[str] = "run_states"
    answer: ClassVar[Any] = Done
    extension: ClassVar[str | None] = "process"

    states: Annotated[list[RunState], Meta(max_length=256)]


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


# -- extension `vpn` -----------------------------------------------------------------------------


ConfType = Literal["wireguard", "openvpn"]

WireGuardKey = Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=(?!\n)$")]
"""32 bytes in base64, written the one way that wg(8) takes."""


class GetVpnConfByKey(Request[VpnConf], kw_only=True):
    """`get_vpn_conf` where the extension was agreed: with a `public_key` of the agent's own, the answer is for that key
    and without its private half. Asking again with the same key changes nothing.

    For openvpn it is the SHA-256 of the certificate that the agent holds: where that is in force, the answer is without
    what the agent has already, `cert`, `key` and `tls-crypt-v2`; else it is complete, with a new certificate."""

    req: ClassVar[str] = "get_vpn_conf"
    answer: ClassVar[Any] = VpnConf
    extension: ClassVar[str | None] = "vpn"

    conf_type: str
    tun_mode: str | UnsetType = UNSET
    public_key: WireGuardKey | UnsetType = UNSET


class ChangeVpn(Request[Done], kw_only=True):
    """Bring the agent's tunnel `up` or `down`, for good; `rotate` its keys; or `refresh` it: ask for its configuration
    again, since that changed or was revoked."""

    req: ClassVar[str] = "change_vpn"
    answer: ClassVar[Any] = Done
    extension: ClassVar[str | None] = "vpn"

    action: Literal["up", "down", "rotate", "refresh"]
    conf_type: ConfType = "wireguard"


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


# -- extension `telemetry` -----------------------------------------------------------------------


class SamplesTaken(Struct, tag_field="result", tag="success"):
    """What was pushed has arrived; up to the number `kept` it is on the server's disk and will not be wanted again.

    The agent is to take a sample each `interval` seconds, and may send up to `room` with its next push.
    """

    kept: Seq
    interval: Annotated[float, Meta(gt=0, le=86400)]
    room: Annotated[int, Meta(ge=1, le=LARGEST_PUSH)]


class PushSamples(Request[SamplesTaken], kw_only=True):
    """Sent by the agent: the next samples of a series, in order, and how many are `pending` after these.

    `latest` is the newest of those pending: it is shown at once, and is sent again when its turn comes.
    """

    req: ClassVar[str] = "push_samples"
    answer: ClassVar[Any] = SamplesTaken
    extension: ClassVar[str | None] = "telemetry"

    series: Series
    samples: Annotated[list[Sample], Meta(max_length=LARGEST_PUSH)]
    pending: Seq = 0
    latest: Sample | UnsetType = UNSET


# -- extension `agent` ---------------------------------------------------------------------------


SHOWN_COMMANDS: Final = 200
SHOWN_COMMAND: Final = 500
"""How many commands of an owner's list a server is shown, and how many characters of each."""

_Kind = Annotated[str, Meta(max_length=64, pattern=_LINE)]


class OwnerPolicy(Struct, kw_only=True, omit_defaults=True):
    """What the machine's owner lets any server do. It is the machine that holds to it; this is only to be shown.

    Attributes:
        allow: the kinds of requests that are answered: `telemetry`, `execute`, `signal`, `vpn`, `list`.
        commands: what may be executed, as its owner wrote it; left out where it may be anything.
        limits: the highest that a run may have, by the names of `quix.wire.runs.RunLimits`.
        max_programs: how many runs there may be at a time.
        environment: whether a run may be given environment variables.
        tcp_bind, tcp_connect: the TCP ports that programs may listen on and connect to; left out where it may be any.
    """

    allow: Annotated[list[_Kind], Meta(max_length=64)]
    commands: (
        Annotated[list[Annotated[str, Meta(max_length=SHOWN_COMMAND, pattern=_LINE)]], Meta(max_length=SHOWN_COMMANDS)]
        | UnsetType
    ) = UNSET
    limits: Annotated[dict[_Kind, int | float], Meta(max_length=64)] = msgspec.field(default_factory=dict)
    max_programs: int | UnsetType = UNSET
    environment: bool = True
    tcp_bind: Annotated[list[int], Meta(max_length=65536)] | UnsetType = UNSET
    tcp_connect: Annotated[list[int], Meta(max_length=65536)] | UnsetType = UNSET


class AgentFacts(Request[Done], kw_only=True):
    """What the machine is; sent by the agent once it is authenticated."""

    req: ClassVar[str] = "agent_facts"
    answer: ClassVar[Any] = Done
    extension: ClassVar[str | None] = "agent"

    name: MachineName
    hostname: Annotated[str, Meta(max_length=253, pattern=_LINE)]
    os: Annotated[str, Meta(max_length=200, pattern=_LINE)]
    kernel: Annotated[str, Meta(max_length=200, pattern=_LINE)]
    arch: Annotated[str, Meta(max_length=50, pattern=_LINE)]
    agent_version: Annotated[str, Meta(max_length=50, pattern=_LINE)]
    boot_id: Annotated[str, Meta(max_length=64, pattern=_LINE)]
    labels: Annotated[dict[LabelName, LabelValue], Meta(max_length=64)] = msgspec.field(default_factory=dict)
    policy: OwnerPolicy | UnsetType = UNSET


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
