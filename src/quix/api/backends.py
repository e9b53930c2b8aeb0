"""The machines that have enrolled."""

from __future__ import annotations

import time

from litestar import delete, get
from msgspec import Struct

from quix import logs
from quix.api.access import AsUser, Named, Parts
from quix.api.errors import raises
from quix.api.pages import DEFAULT_LIMIT, After, Limit, Page, turn
from quix.api.problems import NAMING, OPERATING, READING, Problem
from quix.server.accounts import can_administer, can_read
from quix.server.control import Control
from quix.store import backends as store
from quix.wire.messages import AgentFacts
from quix.wire.reasons import CloseCode

log = logs.get(__name__)

TAG = "backends"


class Backend(Struct):
    """`address` is where it is connected from, or last was; `last_seen` is now while it is connected; `facts` are
    null where the agent tells none. `extensions` are those of the connection. Times in epoch seconds."""

    id: str
    name: str
    connected: bool
    connected_since: float | None
    address: str
    enrolled_by: str
    created_at: float
    last_seen: float
    facts: AgentFacts | None
    extensions: dict[str, int]


def _shown(control: Control, backend: store.Backend) -> Backend:
    """Join what the store knows of a backend with its live session."""
    session = control.fleet.session(backend.id)
    return Backend(
        id=backend.id,
        name=backend.name,
        connected=session is not None,
        connected_since=session.connected_at if session else None,
        address=session.address if session else backend.address,
        enrolled_by=backend.enrolled_by,
        created_at=backend.created_at,
        last_seen=time.time() if session else backend.last_seen,
        facts=(session.facts if session else None) or backend.facts,
        extensions=session.extensions if session else {},
    )


@get(
    "/backends",
    operation_id="listBackends",
    summary="List backends",
    tags=[TAG],
    may=can_read,
    responses=raises(Problem.REQUEST_INVALID, *READING),
)
async def list_backends(control: Parts, after: After = None, limit: Limit = DEFAULT_LIMIT) -> Page[Backend]:
    """Return the backends, oldest first, connected or not."""
    page = await turn(control.store.backends.page, lambda backend: backend.id, after, limit)
    return Page([_shown(control, backend) for backend in page.items], page.next)


@get(
    "/",
    operation_id="getBackend",
    summary="Look at a backend",
    tags=[TAG],
    may=can_read,
    responses=raises(Problem.REQUEST_INVALID, *NAMING),
)
async def get_backend(control: Parts, backend: Named) -> Backend:
    """Return one backend."""
    return _shown(control, backend)


@delete(
    "/",
    operation_id="removeBackend",
    summary="Remove a backend",
    tags=[TAG],
    may=can_administer,
    responses=raises(Problem.REQUEST_INVALID, *OPERATING),
)
async def remove_backend(control: Parts, request: AsUser, backend: Named) -> None:
    """End a backend's token, and forget its runs and its VPN lease. Its programs go on; it can enrol again."""
    # The token first: a backend that is only disconnected would be back at once.
    await control.store.backends.remove(backend.id)
    control.fleet.disconnect(backend.id, CloseCode.TOKEN_ENDED, "this backend has been removed")
    log.info("backend removed", user=request.user.name, backend=backend.id)
