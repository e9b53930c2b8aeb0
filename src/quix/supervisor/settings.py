"""What a supervisor is told when it starts, and how that travels through its command line."""

from __future__ import annotations

import getopt
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from msgspec import Struct

from quix import __version__
from quix.exits import Exit, QuixError

SandboxMode = Literal["landlock", "uid", "none"]
"""How programs are kept in: `landlock` (own uid and Landlock rules), `uid` (own uid only), `none`."""


class SupervisorSettings(Struct, frozen=True, kw_only=True):
    """`program_user` is whose rights programs get: a user's name or `UID:GID`; empty stands for the default
    (`quix.supervisor.account`). At most `max_programs` run at a time."""

    data_dir: Path
    sandbox: SandboxMode = "landlock"
    program_user: str = ""
    max_programs: int = 256

    @property
    def identity(self) -> str:
        """Tell supervisors apart that would treat the next program differently: by build and settings."""
        return f"{__version__} {self.sandbox} {self.program_user} {self.max_programs}"

    def argv(self) -> list[str]:
        """Return the arguments from which `parse` makes these settings again."""
        return [
            f"--data-dir={self.data_dir}",
            f"--sandbox={self.sandbox}",
            f"--program-user={self.program_user}",
            f"--max-programs={self.max_programs}",
        ]


def parse(arguments: Sequence[str]) -> SupervisorSettings:
    """Read the supervisor's command line.

    getopt and not Typer: nobody types it, and it should be up at once.

    Raises:
        QuixError: the command line is wrong.
    """
    try:
        pairs, rest = getopt.getopt(list(arguments), "", ["data-dir=", "sandbox=", "program-user=", "max-programs="])
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
    )


def _mode(text: str) -> SandboxMode:
    for mode in get_args(SandboxMode):
        if text == mode:
            return mode  # type: ignore[no-any-return]
    raise QuixError(f"--sandbox: must be one of {', '.join(get_args(SandboxMode))}, not {text!r}", Exit.USAGE)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) == 0:
        raise QuixError(f"--max-programs: must be a whole number of 1 or more, not {text!r}", Exit.USAGE)
    return int(text)
