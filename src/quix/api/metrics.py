"""The fleet for Prometheus. What the server says of itself, without a login, is in `quix.api.health`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final

from litestar import get
from litestar.response import Stream

from quix.api.access import AsUser, Parts
from quix.api.backends import ByLabel
from quix.api.errors import raises
from quix.api.health import PROMETHEUS_TEXT
from quix.api.labels import pairs_of
from quix.api.problems import READING, Problem
from quix.server.accounts import can_read
from quix.server.control import Control
from quix.server.exposition import Exposed, exposition
from quix.store.backends import Backend
from quix.store.search import Cursor, Sought
from quix.store.sight import Sight

TAG = "metrics"

_CHUNK: Final = 200
"""Backends that are read together: a few milliseconds."""


@get(
    "/metrics",
    operation_id="scrapeBackends",
    summary="Scrape the fleet",
    tags=[TAG],
    may=can_read,
    media_type=PROMETHEUS_TEXT,
    responses=raises(Problem.REQUEST_INVALID, *READING),
)
async def scrape_backends(control: Parts, request: AsUser, label: ByLabel = None) -> Stream:
    """Return numbers of each backend in Prometheus' text format, as `quix_backend_...`; those that are revoked are
    left out."""
    fleet = await _fleet(control, Sought(labels=pairs_of(label, "label"), is_revoked=False), request.user.sight)
    return Stream(_stream(fleet), media_type=PROMETHEUS_TEXT)


async def _fleet(control: Control, sought: Sought, sight: Sight) -> list[Exposed]:
    fleet: list[Exposed] = []
    after: Cursor | None = None
    while True:
        found = await control.store.search.page(sought, after, _CHUNK, sight)
        fleet += (_exposed(control, backend) for backend in found)
        if len(found) < _CHUNK:
            return fleet
        after = Cursor(found[-1].id)


def _exposed(control: Control, backend: Backend) -> Exposed:
    if control.fleet.session(backend.id) is None:
        return Exposed.away(backend)
    track = control.collector.track(backend.id)
    return Exposed.here(backend, time.time(), track.newest() if track else None)


async def _stream(fleet: Sequence[Exposed]) -> AsyncIterator[bytes]:
    for part in exposition(fleet):
        yield part
        await asyncio.sleep(0)  # a fast reader would not let others have their turn
