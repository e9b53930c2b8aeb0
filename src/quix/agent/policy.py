"""What the owner's policy says to each request of the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from quix.supervisor.policy import KINDS, Kind
from quix.supervisor.policy_file import PolicyFile
from quix.wire.messages import (
    ChangeVpn,
    Execute,
    ProcSignal,
    ReadOutput,
    ResizeTerminal,
    Telemetry,
    ViewRunning,
    WriteInput,
)

REQUESTS: Final[Mapping[str, tuple[Kind, ...]]] = {
    Execute.req: ("execute",),
    ReadOutput.req: ("execute",),
    WriteInput.req: ("execute",),
    ResizeTerminal.req: ("execute",),
    ProcSignal.req: ("signal",),
    Telemetry.req: ("telemetry",),
    ViewRunning.req: ("list",),
    ChangeVpn.req: ("vpn",),
}
"""The kinds that must be allowed for a request; a request that is not here takes all of them."""


def gate(policy: PolicyFile) -> Callable[[str], None]:
    """Return what refuses, by its name, each request that the policy forbids (`Router`)."""

    def permit(req: str) -> None:
        policy.current.check(*REQUESTS.get(req, KINDS))

    return permit
