"""For those who watch the server itself: no login, and nothing of the fleet but numbers."""

from __future__ import annotations

from typing import Final, Literal

from litestar import Response, get
from msgspec import Struct
from prometheus_client.exposition import generate_latest

from quix.api.access import Parts

PROMETHEUS_TEXT: Final = "text/plain; version=0.0.4"
"""Prometheus' text format; Litestar adds the charset to what is text."""


class Health(Struct):
    status: Literal["ok"] = "ok"


@get("/healthz", include_in_schema=False)
async def healthz() -> Health:
    """Answer that the server is up."""
    return Health()


@get("/metrics", include_in_schema=False)
async def metrics(control: Parts) -> Response[bytes]:
    """Return what the server counts, in Prometheus' text format."""
    return Response(generate_latest(control.metrics.registry), media_type=PROMETHEUS_TEXT)
