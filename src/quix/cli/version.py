"""`quix version`, and `--version`."""

from __future__ import annotations

import typer

from quix import __version__
from quix.cli.output import Json, emit


def version(json: Json = False) -> None:
    """Print the version."""
    emit({"version": __version__}, json, f"quix {__version__}")


def on_option(wanted: bool) -> None:
    """Print the version and end, where `--version` was given."""
    if wanted:
        version()
        raise typer.Exit
