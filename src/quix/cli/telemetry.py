"""`quix telemetry`."""

from __future__ import annotations

from typing import Annotated

import typer

from quix.cli import render, session
from quix.cli.backends import BackendName
from quix.cli.output import Json, emit
from quix.wire.messages import STAT_TYPES


def telemetry(
    backend: BackendName,
    stat: Annotated[
        list[str] | None, typer.Option(metavar="TYPE", help=f"One of {', '.join(STAT_TYPES)}; repeatable.")
    ] = None,
    json: Json = False,
) -> None:
    """Have a backend measure itself now."""
    with session.client() as client:
        data = client.telemetry(backend, stat or STAT_TYPES)
    emit(data, json, render.telemetry(data))
