"""`quix top`: the fleet, or one backend, as it is now and again."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Final

import typer

from quix.cli import charts, complete, render, session
from quix.exits import Exit, QuixError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from quix.client import Client

View = Callable[["Client"], list[render.Table]]

_SPAN: Final = 600.0
_SHORTEST: Final = 0.5
_LEAVING: Final = b"qQ\x04"


def top(
    backend: Annotated[
        str | None,
        typer.Argument(
            metavar="[BACKEND]",
            help="One backend, by id or name; without it the fleet.",
            autocompletion=complete.backends,
        ),
    ] = None,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=_SHORTEST, help="How often to look again.")
    ] = 3.0,
) -> None:
    """Show how the fleet is, or one backend, until q or Ctrl-C."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise QuixError(
            "top: this draws on a terminal; `quix ls --json` and `quix telemetry --history 1h` do without", Exit.USAGE
        )
    with session.client() as client, contextlib.suppress(KeyboardInterrupt):
        _watch(client, _fleet if backend is None else _one(backend), interval)


def _fleet(client: Client) -> list[render.Table]:
    return [charts.fleet([*client.backends(recent=True)], time.time())]


def _one(backend: str) -> View:
    def look(client: Client) -> list[render.Table]:
        now = time.time()
        found = client.telemetry_history(backend, now - _SPAN, now, points=charts.COLUMNS)
        return [charts.history(found), render.processes(client.processes(backend))]

    return look


def _watch(client: Client, view: View, interval: float) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False, emoji=False, markup=False)
    tables = view(client)  # what is wrong from the start is said as by any other command
    trouble = ""
    with _keys(), Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(_drawn(tables, trouble, console), refresh=True)
            if _is_left(interval):
                return
            try:
                tables, trouble = view(client), ""
            except QuixError as error:
                if error.code == Exit.DENIED:
                    raise
                trouble = str(error)


@contextlib.contextmanager
def _keys() -> Iterator[None]:
    """Have each key at once, and none of them shown."""
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _is_left(seconds: float) -> bool:
    """Wait, and return whether somebody wants to leave."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        ready, _, _ = select.select([sys.stdin], [], [], left)
        if ready:
            # Not by sys.stdin, whose buffer select(2) knows nothing of.
            keys = os.read(sys.stdin.fileno(), 64)
            if not keys or any(key in _LEAVING for key in keys):
                return True
    return False


def _drawn(tables: list[render.Table], trouble: str, console: Console) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    lines = "\n\n".join(render.plain(table) for table in tables).splitlines()
    room = console.height - 2
    if len(lines) > room:
        lines = [*lines[: room - 1], f"... {len(lines) - room + 1} more"]
    foot = Text(trouble or f"{time.strftime('%H:%M:%S')}  q leaves", style="yellow" if trouble else "dim")
    body = (
        Text(text, style="bold" if number == 0 else "", no_wrap=True, overflow="crop")
        for number, text in enumerate(lines)
    )
    return Group(*body, Text(""), foot)
