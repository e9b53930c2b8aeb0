"""Printing: one JSON document with `--json`, else text for people: a table on a terminal, aligned columns elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final, TextIO

import typer

from quix.cli import render
from quix.exits import printable

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

_BROKEN_PIPE: Final = 128 + 13
"""The status of a program that SIGPIPE ended, which is what happens to most in its place."""

_GOOD: Final = frozenset({"online", "in force", "running", "exit 0", "success"})


def emit(data: Any, as_json: bool, text: str | render.Table) -> None:
    """Print `data` as JSON, or `text`."""
    if as_json:
        import msgspec

        _write(msgspec.json.format(msgspec.json.encode(data)).decode())
    elif isinstance(text, str):
        _write(text)
    elif text.rows and sys.stdout.isatty():
        _draw(text)
    elif text.rows:
        _write(render.plain(text))
    else:
        say(text.empty)


def write_lines(lines: Iterable[bytes]) -> None:
    """Write lines as they come."""
    with _stdout():
        for line in lines:
            sys.stdout.buffer.write(line + b"\n")
            sys.stdout.buffer.flush()


def done(as_json: bool) -> None:
    """It has been done, and there is nothing to show: say so where a program asked, and keep silent to a person."""
    if as_json:
        emit({"result": "success"}, as_json, "")


def say(text: str) -> None:
    """Tell a person something on stderr, where it is no part of what a command prints."""
    typer.echo(printable(text), err=True)


def discard(stream: TextIO) -> int:
    """Discard what is still to be written where nobody reads on; return the exit status of that."""
    # Else Python would try once more at its end, and complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return _BROKEN_PIPE


def _write(text: str) -> None:
    with _stdout():
        sys.stdout.write(text + "\n")


@contextlib.contextmanager
def _stdout() -> Iterator[None]:
    """Write to stdout, all of it now, and end without a word where nobody reads on."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise typer.Exit(discard(sys.stdout)) from None


def _draw(table: render.Table) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, emoji=False, markup=False)
    if not render.fits(table, console.width):
        _write(render.records(table))
        return
    drawn = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    last = len(table.head) - 1
    for column, title in enumerate(table.head):
        # Folded and not cut off: half a command is of no use.
        drawn.add_column(
            title, justify="right" if column in table.right else "left", no_wrap=column != last, overflow="fold"
        )
    for row in table.rows:
        cells = [Text(text) for text in row]
        if table.state is not None:
            cells[table.state].stylize("green" if row[table.state] in _GOOD else "yellow")
        drawn.add_row(*cells)
    with _stdout():
        console.print(drawn)
