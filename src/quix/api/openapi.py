"""The description of REST, made from the handlers themselves. `python -m quix.api.openapi` prints it."""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
from litestar import Litestar, Response, get
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, Server, Tag
from litestar.routes import HTTPRoute

from quix import __version__
from quix.api.guards import SCHEME
from quix.api.routes import TAGS, routers
from quix.api.shapes import shapes
from quix.server.control import Control

_DESCRIPTION = """\
Lists come a page at a time, as `{"items": [...], "next": cursor|null}`; send `next` as `after` for the next page.
Errors are `{"reason", "detail"}`: `reason` is for programs and stays, `detail` is for people. Times are seconds since
the epoch."""


@functools.cache
def document() -> bytes:
    """Return the OpenAPI 3.1 document: indented JSON, the same bytes each time for the same code."""
    app = Litestar(
        routers(),
        dependencies={"control": Provide(_no_control, sync_to_thread=False)},
        logging_config=None,
        openapi_config=OpenAPIConfig(
            title="Quix",
            version=__version__,
            description=_DESCRIPTION,
            use_handler_docstrings=True,
            components=Components(security_schemes={"bearer": SCHEME}),
            servers=[Server(url="/")],
            tags=[Tag(name=name, description=text) for name, text in TAGS.items()],
        ),
    )
    text = json.dumps(app.openapi_schema.to_schema(), default=msgspec.to_builtins)
    # Page_quix.store.runs.Run_ is named after where its class happens to live.
    whole = json.loads(re.sub(r"\bPage_[\w.]*\.(\w+)_(?=\")", r"\1Page", text))
    schemas = whole["components"]["schemas"]
    schemas |= {name: shape for name, shape in shapes(_handlers(app)).items() if name in schemas}
    for item in whole["paths"].values():
        for operation in item.values():
            # RFC 9110 section 15.3.5: a 204 never has content, whatever Litestar says of it.
            operation["responses"].get("204", {}).pop("content", None)
            for parameter in operation.get("parameters", []):
                _take_null_away(parameter["schema"])
    return json.dumps(_tidied(whole), indent=2, ensure_ascii=False).encode() + b"\n"


def _handlers(app: Litestar) -> Iterator[HTTPRouteHandler]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            yield from route.route_handlers


def _take_null_away(schema: dict[str, Any]) -> None:
    """Say of a parameter what can be sent: one that is left out is None in the code, and in no request."""
    if "oneOf" in schema:
        schema["oneOf"] = [each for each in schema["oneOf"] if each != {"type": "null"}]
    if isinstance(schema.get("type"), list):
        (schema["type"],) = [each for each in schema["type"] if each != "null"]
    if "enum" in schema:
        schema["enum"] = [each for each in schema["enum"] if each is not None]


def _tidied(value: Any) -> Any:
    """Return a part of the document with the alternatives that are none taken out.

    An integer is a number too, so it would fit both sides of a `oneOf`, which wants exactly one to fit; to `anyOf` it
    adds nothing.
    """
    if isinstance(value, list):
        return [_tidied(each) for each in value]
    if not isinstance(value, dict):
        return value
    value = {key: _tidied(each) for key, each in value.items()}
    for word in ("oneOf", "anyOf"):
        choices = value.get(word)
        if not isinstance(choices, list):
            continue
        if {"type": "number"} in choices:
            choices = [each for each in choices if each != {"type": "integer"}]
        if len(choices) == 1:
            del value[word]
            return {**choices[0], **value}
        value[word] = choices
    return value


def _no_control() -> Control:
    raise NotImplementedError("this application is only described, never run")


@get("/openapi.json", include_in_schema=False)
async def openapi_json() -> Response[bytes]:
    """Return the description of this API."""
    return Response(document(), media_type="application/vnd.oai.openapi+json;version=3.1")


if __name__ == "__main__":
    sys.stdout.buffer.write(document())
