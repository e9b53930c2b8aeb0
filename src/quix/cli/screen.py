"""What many backends write, on one terminal or into one file: lines with the backend's name before them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, BinaryIO, Final, TextIO

from quix.cli import render
from quix.exits import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from quix.cli.tally import Tally
    from quix.cli.targets import Target
    from quix.wire.runs import StreamName

_LONGEST: Final = 2**16
"""Bytes after which a line that does not end is shown in parts."""

_WIDEST: Final = 32
"""Columns that the names take at most; a longer one stands out."""

_INTERVAL: Final = 0.1
_CLEAR: Final = "\r\x1b[K"
_COLOURS: Final = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
_RED: Final = 31


class Screen:
    """Writes lines to standard output and standard error, and keeps a bar below them where there is a terminal."""

    def __init__(self, targets: Iterable[Target], *, has_bar: bool) -> None:
        names = [target.name for target in targets]
        self._total = len(names)
        self._width = min(_WIDEST, max(map(render.width, names)))
        self._colours = {name: _COLOURS[number % len(_COLOURS)] for number, name in enumerate(names)}
        self._partial: dict[tuple[str, StreamName], bytes] = {}
        self._outs: dict[StreamName, TextIO] = {"stdout": sys.stdout, "stderr": sys.stderr}
        self._plain = {name: not stream.isatty() for name, stream in self._outs.items()}
        self._console = _console() if has_bar and sys.stderr.isatty() else None
        self._drawn_at = 0.0
        self._is_drawn = False

    # -- lines ----------------------------------------------------------------------------------

    def wrote(self, target: Target, stream: StreamName, data: bytes) -> None:
        """Show the lines that `data` completes; the rest waits for its end."""
        *lines, rest = (self._partial.pop((target.id, stream), b"") + data).split(b"\n")
        if len(rest) >= _LONGEST:
            lines, rest = [*lines, rest], b""
        if rest:
            self._partial[target.id, stream] = rest
        self._lines(target, stream, lines)

    def finish(self, target: Target) -> None:
        """Show what a program wrote last, without an end of its line."""
        for stream in self._outs:
            rest = self._partial.pop((target.id, stream), b"")
            self._lines(target, stream, [rest] if rest else [])

    def _lines(self, target: Target, stream: StreamName, lines: list[bytes]) -> None:
        if lines:
            self.pause()
            head = self._head(target.name, stream)
            out: BinaryIO = self._outs[stream].buffer
            out.write(b"".join(head + self._shown(stream, line) + b"\n" for line in lines))
            out.flush()

    def _head(self, name: str, stream: StreamName) -> bytes:
        padding = " " * max(0, self._width - render.width(name))
        if self._plain[stream] or not _has_colours():
            return f"{name}{padding} | ".encode()
        bar = f"\x1b[{_RED}m|\x1b[0m" if stream == "stderr" else "|"
        return f"\x1b[{self._colours[name]}m{name}{padding}\x1b[0m {bar} ".encode()

    def _shown(self, stream: StreamName, line: bytes) -> bytes:
        if self._plain[stream]:
            return line
        # On a terminal that many share, none of them may move the cursor.
        text = line.decode(errors="replace").rstrip("\r").expandtabs()
        return printable(text).encode()

    def say(self, text: str) -> None:
        """Tell a person something on standard error."""
        self.pause()
        sys.stderr.write(printable(text) + "\n")
        sys.stderr.flush()

    def print(self, line: str) -> None:
        """Write a line that is no backend's output to standard output."""
        self.pause()
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    # -- the bar --------------------------------------------------------------------------------

    def pause(self) -> None:
        """Take the bar away, for something else to be written."""
        if self._is_drawn:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
            self._is_drawn = False

    def draw(self, tally: Tally, running: Iterable[str]) -> None:
        """Draw the bar anew, where there is one and it is time to."""
        now = time.monotonic()
        if self._console is None or (self._is_drawn and now - self._drawn_at < _INTERVAL):
            return
        self._drawn_at = now
        self._is_drawn = True
        with self._console.capture() as drawn:
            self._console.print(self._bar(tally, list(running)))
        sys.stderr.write(_CLEAR + drawn.get().split("\n")[0])
        sys.stderr.flush()

    def _bar(self, tally: Tally, running: list[str]) -> RenderableType:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, overflow="ellipsis")
        bad = f", {tally.bad} not ok" if tally.bad else ""
        numbers = Text(f"{tally.total} of {self._total}{bad}", style="red" if tally.bad else "")
        names = Text(", ".join(running), style="dim")
        grid.add_row(ProgressBar(total=self._total, completed=tally.total, width=24), numbers, names)
        return grid


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False, emoji=False, markup=False)


def _has_colours() -> bool:
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
