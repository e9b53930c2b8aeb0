"""The owner's policy: what a backend lets any server do (docs/policy.md).

Agent and supervisor both hold to it. Whatever it forbids is answered `policy_denied`, whoever asks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Literal, get_args

import msgspec
from msgspec import UNSET, Struct, UnsetType

from quix import units
from quix.exits import printable
from quix.supervisor import pattern
from quix.supervisor.pattern import Pattern
from quix.supervisor.run import Port, Ports
from quix.wire.messages import SHOWN_COMMAND, SHOWN_COMMANDS, OwnerPolicy
from quix.wire.reasons import Reason, Refusal
from quix.wire.runs import Count, RunLimits, RunOptions

Kind = Literal["telemetry", "execute", "signal", "vpn", "list"]
"""What can be allowed: to measure the machine; to start programs and to talk with them; to signal them; to hand out
VPN configurations; to list what runs."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_UNITS: Final[Mapping[str, Callable[[str], float]]] = {
    "memory": units.size,
    "file_size": units.size,
    "output": units.size,
    "cpu": units.seconds,
    "time": units.seconds,
}
"""What reads a limit that is given with a unit; one that is not here is a plain number."""


class Policy(Struct, frozen=True, kw_only=True):
    """What is allowed; without a file, everything.

    Attributes:
        allow: the kinds of requests that are answered at all.
        commands: what may be executed; None where it may be anything.
        limits: the highest that a run may have, and what one gets that asks for none.
        max_programs: how many runs there may be at a time; None leaves it to the supervisor's settings.
        environment: whether whoever asks may set environment variables.
        ports: which TCP ports programs may use.
        is_broken: whether this only stands in for a file that cannot be read.
    """

    allow: tuple[Kind, ...] = KINDS
    commands: tuple[Pattern, ...] | None = None
    limits: RunLimits = RunLimits()
    max_programs: int | None = None
    environment: bool = True
    ports: Ports = Ports()
    is_broken: bool = False

    def narrowed(self, allow: Collection[Kind]) -> Policy:
        """Return this policy with only those of its kinds that are in `allow` too."""
        return msgspec.structs.replace(self, allow=tuple(kind for kind in self.allow if kind in allow))

    def check(self, *kinds: Kind) -> None:
        """Raise Refusal(POLICY_DENIED) where one of these kinds is not allowed."""
        for kind in kinds:
            if kind not in self.allow:
                raise _denied(_BROKEN if self.is_broken else f"the owner of this machine does not allow {kind}")

    def admit(self, cmd: Sequence[str], options: RunOptions) -> RunOptions:
        """Return the options that a command may be started with: those asked for, with limits within the policy's.

        Raises:
            Refusal: POLICY_DENIED; it may not be started, or not like that.
        """
        self.check("execute")
        self.check_command(cmd)
        self.check_options(options)
        return msgspec.structs.replace(options, limits=self.bound(options.limits))

    def check_command(self, cmd: Sequence[str]) -> None:
        """Raise Refusal(POLICY_DENIED) where the owner listed commands, and this is none of them."""
        if self.commands is not None and not any(each.matches(cmd) for each in self.commands):
            raise _denied("cmd: not among the commands that the owner of this machine allows")

    def check_options(self, options: RunOptions) -> None:
        """Raise Refusal(POLICY_DENIED), naming the option that the owner does not allow."""
        if options.env and not self.environment:
            raise _denied("env: the owner of this machine does not allow environment variables")

    def bound(self, limits: RunLimits) -> RunLimits:
        """Return the limits of a run that asked for these: where it asked for nothing, the highest that is allowed.

        Raises:
            Refusal: POLICY_DENIED, naming the limit that is above the highest, and the highest.
        """
        return RunLimits(**{name: self._bound(limits, name) for name in RunLimits.__struct_fields__})

    def _bound(self, limits: RunLimits, name: str) -> Any:
        asked, highest = getattr(limits, name), getattr(self.limits, name)
        if asked is UNSET:
            return highest
        if highest is not UNSET and asked > highest:
            raise _denied(f"limits.{name}: the owner of this machine allows at most {highest}")
        return asked

    def summary(self) -> OwnerPolicy:
        """Return what the server is shown: long lists and long commands are cut off."""
        commands = self.commands
        return OwnerPolicy(
            allow=list(self.allow),
            commands=UNSET
            if commands is None
            else [printable(each.text)[:SHOWN_COMMAND] for each in commands[:SHOWN_COMMANDS]],
            limits=msgspec.to_builtins(self.limits),
            max_programs=UNSET if self.max_programs is None else self.max_programs,
            environment=self.environment,
            tcp_bind=UNSET if self.ports.bind is None else [*self.ports.bind],
            tcp_connect=UNSET if self.ports.connect is None else [*self.ports.connect],
        )


_BROKEN: Final = "the policy of this machine cannot be read, so everything is refused until its owner mends it"

DENY_ALL: Final = Policy(allow=(), commands=(), environment=False, is_broken=True)
"""Stands in for a file that cannot be read."""


class _Table(Struct, kw_only=True, forbid_unknown_fields=True):
    """The file as it is written; limits without units."""

    allow: tuple[Kind, ...] = KINDS
    commands: tuple[str, ...] | None = None
    limits: RunLimits = RunLimits()
    max_programs: Count | UnsetType = UNSET
    environment: bool | UnsetType = UNSET
    tcp_bind: tuple[Port, ...] | None = None
    tcp_connect: tuple[Port, ...] | None = None


def parse(tree: dict[str, Any]) -> Policy:
    """Return the policy that a file says, decoded from TOML.

    Raises:
        ValueError: a key does not exist, or a value does not fit; names the key.
    """
    limits = tree.get("limits")
    if isinstance(limits, dict):
        tree = tree | {"limits": {name: _number(name, value) for name, value in limits.items()}}
    try:
        table = msgspec.convert(tree, _Table)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at ")
        where = path.strip("`").removeprefix("$.")
        raise ValueError(f"{where}: {text}" if where else text) from error
    commands = None if table.commands is None else tuple(map(_pattern, table.commands))
    return Policy(
        allow=tuple(kind for kind in KINDS if kind in table.allow),
        commands=commands,
        limits=table.limits,
        max_programs=None if table.max_programs is UNSET else table.max_programs,
        # Variables such as LD_PRELOAD and PYTHONSTARTUP make another program of one that is on the list.
        environment=commands is None if table.environment is UNSET else table.environment,
        ports=Ports(bind=table.tcp_bind, connect=table.tcp_connect),
    )


def _number(name: str, value: Any) -> Any:
    """Return a limit as a number where it is a text with a unit; anything else as it is."""
    read = _UNITS.get(name)
    if read is None or not isinstance(value, str):
        return value
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"limits.{name}: {error}") from error


def _pattern(text: str) -> Pattern:
    try:
        return pattern.parse(text)
    except ValueError as error:
        raise ValueError(f"commands: {text!r}: {error}") from error


def _denied(detail: str) -> Refusal:
    return Refusal(Reason.POLICY_DENIED, detail)
