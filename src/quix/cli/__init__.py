"""The command `quix`: one module a noun, each command parses, makes one call, and renders."""

from __future__ import annotations

from quix.cli.main import main

__all__ = ["main"]
