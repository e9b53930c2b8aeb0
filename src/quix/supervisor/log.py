"""The supervisor's log: one JSON object a line on stderr, which is `supervisor/log` unless it is a service.

The same shape as `quix.logs` gives, without structlog and logging, which are half of what a supervisor weighs.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os

import msgspec

_STDERR = 2


def event(level: str, text: str, **facts: object) -> None:
    """Write one line; `facts` must be values that JSON knows. It never fails: there is nowhere left to say so."""
    timestamp = dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")
    line = msgspec.json.encode({"timestamp": timestamp, "level": level, "event": text, **facts})
    with contextlib.suppress(OSError):  # the disk is full, most likely, and that must not end the supervisor
        os.write(_STDERR, line + b"\n")
