"""Whatever prints data prints it for programs, too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from quix.cli.main import app

WITHOUT = {
    "server": "runs until it is told to end; --log-format json is for programs",
    "agent": "as server",
    "supervisor": "as server",
    "demo": "is for a person to look at, until Ctrl-C",
    "logs": "prints what a program wrote, byte for byte",
    "top": "draws on a terminal; `quix ls --json` and `quix telemetry --json` have the same data",
}


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, each in getattr(command, "commands", {}).items():
        if hasattr(each, "commands"):
            yield from leaves(each, (*path, name))
        else:
            yield " ".join((*path, name)), each


def test_every_command_has_json_or_a_reason() -> None:
    found = dict(leaves(typer.main.get_command(app)))
    assert len(found) > 30
    without = {name for name, each in found.items() if not any("--json" in param.opts for param in each.params)}
    assert without == set(WITHOUT)
