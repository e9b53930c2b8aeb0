"""How a backend is."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from quix.api.access import Named, Parts
from quix.api.errors import raises
from quix.api.problems import ASKING, NAMING, Problem, ProblemError
from quix.server.accounts import can_read
from quix.wire.messages import STAT_TYPES, TeleData

TAG = "telemetry"

StatTypes = Annotated[
    str | None,
    QueryParameter(name="stat_types", description=f"What to measure, separated by commas: {', '.join(STAT_TYPES)}."),
]


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
    return await control.telemetry.measure(backend.id, _chosen(stat_types))


def _chosen(text: str | None) -> tuple[str, ...]:
    if text is None:
        return STAT_TYPES
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in STAT_TYPES:
            raise ProblemError(Problem.REQUEST_INVALID, f"stat_types: {name!r} is none of {', '.join(STAT_TYPES)}")
    return tuple(dict.fromkeys(names))
