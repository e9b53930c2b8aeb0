"""What a supervisor is told when it starts, and how that travels through its command line."""

from __future__ import annotations

import getopt
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, get_args

from msgspec import Struct

from quix import __version__
from quix.exits import Exit, QuixError
from quix.supervisor.policy import KINDS, Kind

SandboxMode = Literal["landlock", "uid", "none"]
"""How programs are kept in: `landlock` (own uid and Landlock rules), `uid` (own uid only), `none`."""


_OPTIONS: Final = [
    "data-dir=",
    "sandbox=",
    "program-user=",
    "max-programs=",
    "agent-user=",
    "service",
    "policy=",
    "allow=",
]


class SupervisorSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`program_user` is whose rights programs get: a user's name or `UID:GID`; empty stands for the default
    (`quix.supervisor.account`). At most `max_programs` run at a time. `agent_user` is who may call the supervisor
    besides its own user: a name or a uid. `service`: somebody else than the agent starts and ends it. `policy` and
    `allow`: see `quix.supervisor.policy_file`."""

    data_dir: Path
    sandbox: SandboxMode = "landlock"
    program_user: str = ""
    max_programs: int = 256
    agent_user: str = ""
    service: bool = False
    policy: Path | None = None
    allow: tuple[Kind, ...] = KINDS

    @property
    def identity(self) -> str:
        """Tell supervisors apart that would treat the next program differently: by build and settings."""
        policy = f"{self.policy or ''} {','.join(sorted(self.allow))}"
        return f"{__version__} {self.sandbox} {self.program_user} {self.max_programs} {policy}"

    def argv(self) -> list[str]:
        """Return the arguments from which `parse` makes these settings again."""
        return [
            f"--data-dir={self.data_dir}",
            f"--sandbox={self.sandbox}",
            f"--program-user={self.program_user}",
            f"--max-programs={self.max_programs}",
            f"--agent-user={self.agent_user}",
            f"--policy={self.policy or ''}",
            f"--allow={','.join(self.allow)}",
            *(["--service"] if self.service else []),
        ]


def parse(arguments: Sequence[str]) -> SupervisorSettings:
    """Read the supervisor's command line.

    getopt and not Typer: nobody types it, and it should be up at once.

    Raises:
        QuixError: the command line is wrong.
    """
    try:
        pairs, rest = getopt.getopt(list(arguments), "", _OPTIONS)
    except getopt.GetoptError as error:
        raise QuixError(f"supervisor: {error}", Exit.USAGE) from error
    given = dict(pairs)
    if rest or not given.get("--data-dir"):
        raise QuixError("supervisor: --data-dir DIR is required, and nothing but options is taken", Exit.USAGE)
    return SupervisorSettings(
        data_dir=Path(given["--data-dir"]).absolute(),
        sandbox=_mode(given.get("--sandbox", "landlock")),
        program_user=given.get("--program-user", ""),
        max_programs=_positive(given.get("--max-programs", "256")),
        agent_user=given.get("--agent-user", ""),
        service="--service" in given,
        policy=Path(given["--policy"]).absolute() if given.get("--policy") else None,
        allow=_kinds(given["--allow"]) if "--allow" in given else KINDS,
    )


def _mode(text: str) -> SandboxMode:
    for mode in get_args(SandboxMode):
        if text == mode:
            return mode  # type: ignore[no-any-return]
    raise QuixError(f"--sandbox: must be one of {', '.join(get_args(SandboxMode))}, not {text!r}", Exit.USAGE)


def _kinds(text: str) -> tuple[Kind, ...]:
    asked = text.split(",") if text else []
    if unknown := set(asked).difference(KINDS):
        raise QuixError(f"--allow: {', '.join(sorted(unknown))}: must be of {', '.join(KINDS)}", Exit.USAGE)
    return tuple(kind for kind in KINDS if kind in asked)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) == 0:
        raise QuixError(f"--max-programs: must be a whole number of 1 or more, not {text!r}", Exit.USAGE)
    return int(text)
