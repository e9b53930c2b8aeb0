"""Becoming the agent: the same process goes on, with a fresh and smaller interpreter in it."""

from __future__ import annotations

import os
import sys
from typing import Final, NoReturn

import msgspec

from quix.agent.settings import AgentSettings

SETTINGS: Final = "_QUIX_AGENT"
"""The variable that hands the settings over."""


def become(settings: AgentSettings) -> NoReturn:
    """Replace this process by the agent; its pid, streams and signals stay what they are."""
    environ = os.environ | {SETTINGS: msgspec.json.encode(settings, enc_hook=str).decode()}
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", "quix.agent"], environ)
