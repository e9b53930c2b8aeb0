"""`quix events`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from quix.cli import render, session
from quix.cli.output import say, write_lines

if TYPE_CHECKING:
    from quix.client import Event


def events(
    kinds: Annotated[
        list[str] | None,
        typer.Option("-k", "--kind", metavar="KIND", help="Only this, see docs/access.md; repeatable"),
    ] = None,
    backend: Annotated[str, typer.Option(metavar="BACKEND", help="Only what is about this backend.")] = "",
    after: Annotated[
        int | None, typer.Option(metavar="ID", help="Begin after the event of this id, where the server still has it.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print each event as a line of JSON.")] = False,
) -> None:
    """Follow what happens, until Ctrl-C."""
    with session.client() as client:
        found = client.events(
            kinds or (), backend, after=after, trouble=lambda error: say(f"quix: {error}; trying again")
        )
        write_lines(_line(event, json) for event in found)


def _line(event: Event, json: bool) -> bytes:
    import msgspec

    return msgspec.json.encode(event) if json else render.event(event).encode(errors="replace")
