"""Printing: one JSON document with `--json`, else text for people."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import msgspec
import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def emit(data: Any, as_json: bool, text: str) -> None:
    """Print `data` as JSON, or `text`."""
    out = msgspec.json.format(msgspec.json.encode(data)).decode() if as_json else text
    if out:
        sys.stdout.write(out + "\n")
