"""The supervisor's log: one JSON object a line on stderr, which is `agent/supervisor.log`.

The same shape as `quix.logs` gives, without structlog and logging, which are half of what a supervisor weighs.
"""

from __future__ import annotations

import datetime as dt
import os

import msgspec

_STDERR = 2


def event(level: str, text: str, **facts: object) -> None:
    """Write one line; `facts` must be values that JSON knows."""
    timestamp = dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")
    line = msgspec.json.encode({"timestamp": timestamp, "level": level, "event": text, **facts})
    os.write(_STDERR, line + b"\n")
