"""The shapes of bodies and answers, as JSON Schema made by what checks them.

Litestar's own description of a struct leaves out that unknown fields are refused, bounds that exclude themselves,
rules for keys, and the length of tuples; msgspec's says all that it checks.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from quix.api.errors import Error
from quix.api.users import UserChange

_REFERENCE: Final = "#/components/schemas/{name}"

_BEYOND: Final[dict[type[Struct], dict[str, Any]]] = {UserChange: {"minProperties": 1, "maxProperties": 1}}
"""What is checked of a shape as a whole."""


def shapes(handlers: Iterable[HTTPRouteHandler]) -> dict[str, Any]:
    """Return the schema of each struct that these handlers take or give, by its name in the description."""
    kinds = {Error, *(kind for handler in handlers for kind in _kinds(handler))}
    _, found = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    found = {page_name(name): _told(schema) for name, schema in found.items()}
    for kind, more in _BEYOND.items():
        found[kind.__name__] |= more
    return found


def page_name(name: str) -> str:
    """Return what a page of something is called: `RunPage` for `Page_Run_` and for `Page_quix.store.runs.Run_`."""
    return re.sub(r"^Page_(?:[\w.]*\.)?(\w+)_$", r"\1Page", name)


def _kinds(handler: HTTPRouteHandler) -> Iterator[type[Struct]]:
    given = handler.parsed_fn_signature.return_type
    taken = handler.parsed_data_field
    # Response[Login] is about a Login.
    fields = [given, *given.inner_types, *([] if taken is None else [taken])]
    for field in fields:
        origin = getattr(field.annotation, "__origin__", field.annotation)
        if isinstance(origin, type) and issubclass(origin, Struct):
            yield field.annotation


def _told(value: Any) -> Any:
    """Return a part of a schema with what generators of clients need said outright."""
    if isinstance(value, list):
        return [_told(each) for each in value]
    if not isinstance(value, dict):
        return _renamed(value)
    told = {key: _told(each) for key, each in value.items()}
    if isinstance(told.get("description"), str):
        told["description"] = inspect.cleandoc(told["description"])
    first, *rest = told.get("prefixItems", [None])
    if first is not None and all(each == first for each in rest):
        # A tuple of one kind of value, in the words that more programs know.
        del told["prefixItems"]
        told["items"] = first
    if "enum" in told and all(isinstance(each, str) for each in told["enum"]):
        told["type"] = "string"
    return told


def _renamed(value: Any) -> Any:
    """Return a reference with the name that pages have; anything else as it is."""
    start, separator, name = value.rpartition("/") if isinstance(value, str) else ("", "", "")
    return f"{start}/{page_name(name)}" if separator and start.startswith("#/components/schemas") else value
