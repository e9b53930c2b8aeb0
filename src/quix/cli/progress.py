"""A line on the terminal that says how much has come, while the output itself goes elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Final, Self

from quix.cli.render import size

_INTERVAL: Final = 0.2
_AFTER: Final = 1.0
"""Seconds before it is shown at all."""

_CLEAR: Final = "\r\x1b[K"


class Progress:
    """Shown where standard error is a terminal and standard output is none: else it would be in the way."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty() and not sys.stdout.isatty()
        self._began = time.monotonic()
        self._drawn_at = self._began + _AFTER - _INTERVAL
        self._is_drawn = False
        self._total = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pause()

    def pause(self) -> None:
        """Take the line away, for something else to be written."""
        if self._is_drawn:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
            self._is_drawn = False

    def count(self, amount: int) -> None:
        """So many bytes have come."""
        self._total += amount
        now = time.monotonic()
        if self._is_shown and now - self._drawn_at >= _INTERVAL:
            self._drawn_at = now
            self._is_drawn = True
            rate = self._total / (now - self._began)
            sys.stderr.write(f"{_CLEAR}{size(self._total)}, {size(rate)}/s")
            sys.stderr.flush()
