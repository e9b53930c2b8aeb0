"""REST put together: routes, errors, limits and headers."""

from __future__ import annotations

from typing import Final

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import Message, Scope

from quix.api.console import asset, page
from quix.api.errors import HANDLERS
from quix.api.health import healthz, metrics
from quix.api.openapi import openapi_json
from quix.api.routes import PREFIX, Routes, routers
from quix.server.control import Control

MAX_BODY: Final = 2**20
"""Bytes of a request's body; as many as of a message to a backend."""

HEADERS: Final = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
"""On every answer that says nothing else of them: most hold what is nobody else's business, private keys among it."""


def create(control: Control) -> Litestar:
    """Build the ASGI application of a server."""
    return Litestar(
        [healthz, metrics, page, asset, Routes(PREFIX, route_handlers=[openapi_json]), *routers()],
        state=State({"control": control}),
        dependencies={"control": Provide(lambda: control, sync_to_thread=False)},
        exception_handlers=HANDLERS,
        before_send=[_add_headers],
        request_max_body_size=MAX_BODY,
        logging_config=None,
        openapi_config=None,
    )


async def _add_headers(message: Message, _scope: Scope) -> None:
    if message["type"] == "http.response.start":
        said = {name for name, _ in message["headers"]}
        message["headers"] = [*message["headers"], *(header for header in HEADERS if header[0] not in said)]
