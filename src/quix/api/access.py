"""What handlers are given: the parts of the server, and the backend that a path names."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import PathParameter, SkipValidation

from quix.api.guards import note_failure
from quix.api.problems import Problem, ProblemError
from quix.server.caller import Caller
from quix.server.control import Control
from quix.store.backends import Backend
from quix.store.sight import Sight

Parts = NamedDependency[SkipValidation[Control]]
Named = NamedDependency[SkipValidation[Backend]]
AsUser = Request[Caller, Any, Any]
"""A request behind `guards.authorize`: `request.user` is whoever asks."""

_LISTED: Final = 20
"""Ids that an answer about an ambiguous name lists at most."""


async def find_backend(
    control: Parts,
    request: AsUser,
    backend_id: Annotated[str, PathParameter(description="The backend's id, or its name where that is unique.")],
) -> Backend:
    """Return the backend of an id, or of a name where only one has it.

    Raises:
        ProblemError: BACKEND_UNKNOWN or BACKEND_AMBIGUOUS.
    """
    try:
        return await one_backend(control, backend_id, request.user.sight)
    except ProblemError as error:
        note_failure(control, request.user, request.route_handler, request.path_params, error.problem)
        raise


async def one_backend(control: Control, backend_id: str, sight: Sight) -> Backend:
    """Return the backend of an id, or of a name where only one has it, of those that are seen. Raises as
    `find_backend`."""
    found = await control.store.backends.find(backend_id, sight)
    if not found:
        raise ProblemError(Problem.BACKEND_UNKNOWN)
    if len(found) > 1:
        ids = [backend.id for backend in found]
        more = f" and {len(ids) - _LISTED} more" if len(ids) > _LISTED else ""
        detail = f"{len(ids)} backends have that name; use an id: {', '.join(ids[:_LISTED])}{more}"
        raise ProblemError(Problem.BACKEND_AMBIGUOUS, detail)
    return found[0]
