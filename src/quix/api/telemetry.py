"""How a backend is, and how it was."""

from __future__ import annotations

import time
from typing import Annotated, Final

from litestar import get
from litestar.params import QueryParameter

from quix.api.access import Named, Parts
from quix.api.choices import choices_of, chosen
from quix.api.errors import raises
from quix.api.problems import ASKING, NAMING, Problem, ProblemError
from quix.server.accounts import can_read
from quix.server.history import TelemetryHistory
from quix.wire.messages import STAT_TYPES, TeleData
from quix.wire.samples import METRICS

TAG = "telemetry"

StatTypes = Annotated[
    str | None,
    QueryParameter(
        name="stat_types",
        description=f"What to measure, separated by commas: {', '.join(STAT_TYPES)}.",
        schema_extra=choices_of(STAT_TYPES),
    ),
]

Metrics = Annotated[
    str | None,
    QueryParameter(
        name="metrics",
        description=f"What to give, separated by commas: {', '.join(METRICS)}.",
        schema_extra=choices_of(METRICS),
    ),
]
_LATEST: Final = 2**40

Since = Annotated[
    float | None,
    QueryParameter(name="from", ge=0, le=_LATEST, description="Epoch seconds; an hour before the end without it."),
]
Until = Annotated[
    float | None, QueryParameter(name="to", ge=0, le=_LATEST, description="Epoch seconds; now without it.")
]
Points = Annotated[int, QueryParameter(name="points", ge=1, le=5000, description="Points of each metric, at most.")]

_SPAN: Final = 3600.0
_POINTS: Final = 300


@get(
    "/telemetry",
    operation_id="measure",
    summary="Measure now",
    tags=[TAG],
    may=can_read,
    responses=raises(Problem.REQUEST_INVALID, *NAMING, *ASKING),
)
async def measure(control: Parts, backend: Named, stat_types: StatTypes = None) -> TeleData:
    """Have the backend measure itself; everything unless `stat_types` says what. What it does not know is left out."""
    kinds = STAT_TYPES if stat_types is None else chosen("stat_types", stat_types, STAT_TYPES)
    return await control.telemetry.measure(backend.id, kinds)


@get(
    "/telemetry/history",
    operation_id="readTelemetryHistory",
    summary="Read how it was",
    tags=[TAG],
    may=can_read,
    responses=raises(Problem.REQUEST_INVALID, *NAMING),
)
async def history(
    control: Parts,
    backend: Named,
    from_: Since = None,
    to: Until = None,
    points: Points = _POINTS,
    metrics: Metrics = None,
) -> TelemetryHistory:
    """Return series of what was sampled, from samples or from roll-ups of a minute or an hour: whatever fits the
    span and is still kept. A point that covers several samples has their lowest, their mean and their highest."""
    end = time.time() if to is None else to
    start = max(0.0, end - _SPAN) if from_ is None else from_
    if not start <= end:
        raise ProblemError(Problem.REQUEST_INVALID, "from: must be a time before `to`")
    names = METRICS if metrics is None else chosen("metrics", metrics, METRICS)
    return await control.history.read(backend.id, start, end, points, names)
