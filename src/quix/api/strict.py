"""What Litestar would bend into shape is refused.

It takes `null` in a query for what was left out, and `0` or `"no"` in a body for false: whoever sends that means
something else than is understood.
"""

from __future__ import annotations

import functools
import re
from typing import Any, Final

import msgspec
from litestar.handlers import HTTPRouteHandler

from quix.api.errors import AnyRequest
from quix.api.guards import authorize
from quix.api.problems import Problem, ProblemError

_AT: Final = re.compile(r"(?P<what>.*) - at `(?:key in )?\$\.?(?P<field>.+)`")


async def refuse_loose(request: AnyRequest) -> None:
    """Refuse a request that is not exactly as described; before it is handled, and after it is known who asks, which is
    asked again once the body is there.

    Raises:
        ProblemError: REQUEST_INVALID, or as `authorize`.
    """
    _refuse_nulls(request)
    body = request.route_handler.parsed_data_field
    if body is None:
        return
    raw = await request.body()
    if "may" in request.route_handler.opt:
        # To send it may have taken any time, in which the login may have ended, or its user be somebody else.
        await authorize(request, request.route_handler)
    try:
        given = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return  # no JSON at all: Litestar says so, and what is wrong with it
    try:
        msgspec.json.decode(msgspec.json.encode(_whole(given)), type=body.annotation)
    except msgspec.ValidationError as error:
        raise ProblemError(Problem.REQUEST_INVALID, _named(str(error))) from error


def _whole(value: Any) -> Any:
    """Return what was sent with 5 for 5.0: both are integers (JSON Schema 2020-12, validation, section 6.1.1)."""
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _named(text: str) -> str:
    """Return what msgspec says, with the field before it."""
    found = _AT.fullmatch(text)
    return f"{found['field']}: {found['what']}" if found else f"body: {text}"


def _refuse_nulls(request: AnyRequest) -> None:
    """Refuse a query in which something that is no text is `null`, before msgspec takes that for a value left out:
    whoever meant a filter would be given everything.

    Raises:
        ProblemError: REQUEST_INVALID.
    """
    for name, value in request.query_params.multi_items():
        if value.lower() == "null" and name not in _texts(request.route_handler):
            raise ProblemError(Problem.REQUEST_INVALID, f"{name}: it must not be null; leave it out")


@functools.cache
def _texts(handler: HTTPRouteHandler) -> frozenset[str]:
    """Return the parameters of a handler, and of what it depends on, that may be any text."""
    signatures = [handler.parsed_fn_signature]
    signatures += [each.parsed_fn_signature for each in handler.resolve_dependencies().values()]
    found = set()
    for signature in signatures:
        for name, field in signature.parameters.items():
            if str in (field.annotation, *(inner.annotation for inner in field.inner_types)):
                found.add(getattr(field.kwarg_definition, "name", None) or name)
    return frozenset(found)
