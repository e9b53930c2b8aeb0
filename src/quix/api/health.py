"""For those who watch the server itself: no login, and nothing of the fleet but numbers."""

from __future__ import annotations

from typing import Literal

from litestar import Response, get
from msgspec import Struct
from prometheus_client.exposition import generate_latest

from quix import __version__
from quix.api.access import Parts


class Health(Struct):
    status: Literal["ok"] = "ok"


class Welcome(Struct):
    """What is found at the root: where to go on."""

    name: str
    version: str
    openapi: str


@get("/healthz", include_in_schema=False)
async def healthz() -> Health:
    """Answer that the server is up."""
    return Health()


@get("/metrics", include_in_schema=False)
async def metrics(control: Parts) -> Response[bytes]:
    """Return what the server counts, in Prometheus' text format."""
    # Litestar adds the charset to what is text.
    return Response(generate_latest(control.metrics.registry), media_type="text/plain; version=0.0.4")


@get("/", include_in_schema=False)
async def welcome() -> Welcome:
    """Say what this is, and where its description is."""
    return Welcome("quix", __version__, "/api/v1/openapi.json")
