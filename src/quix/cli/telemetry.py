"""`quix telemetry`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from quix.cli import charts, render, session
from quix.cli.backends import BackendName
from quix.cli.options import Span
from quix.cli.output import Json, emit
from quix.wire.messages import STAT_TYPES


def telemetry(
    backend: BackendName,
    stat: Annotated[
        list[str] | None, typer.Option(metavar="TYPE", help=f"One of {', '.join(STAT_TYPES)}; repeatable.")
    ] = None,
    history: Span = None,
    json: Json = False,
) -> None:
    """Have a backend measure itself now, or with --history say how it was."""
    if history is not None and stat:
        raise typer.BadParameter("what is measured now, and not part of --history", param_hint="--stat")
    with session.client() as client:
        if history is None:
            data = client.telemetry(backend, stat or STAT_TYPES)
            emit(data, json, render.telemetry(data))
            return
        now = time.time()
        found = client.telemetry_history(backend, now - history, now, points=300 if json else charts.COLUMNS)
    emit(found, json, charts.history(found))
