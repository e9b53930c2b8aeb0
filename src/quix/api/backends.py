"""The machines that have enrolled."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from litestar import delete, get, patch, post
from litestar.params import JSONBody, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType

from quix import logs
from quix.api.access import AsUser, Named, Parts
from quix.api.errors import raises
from quix.api.labels import PAIR, pairs_of, said
from quix.api.pages import DEFAULT_LIMIT, After, Limit, Page, turn
from quix.api.problems import ADMINISTERING, NAMING, OPERATING, READING, Problem, ProblemError
from quix.server.accounts import can_administer, can_operate, can_read
from quix.server.caller import Caller
from quix.server.control import Control
from quix.server.events import Kind
from quix.server.track import RECENT, Load
from quix.store import backends as store
from quix.store.actions import Action
from quix.store.search import Cursor, Sort, Sought, cursor_of
from quix.wire.messages import AgentFacts, LabelName, LabelValue, MachineName
from quix.wire.reasons import CloseCode

log = logs.get(__name__)

TAG = "backends"

State = Literal["online", "offline", "revoked"]
Order = Literal["created", "-created", "name", "-name", "last_seen", "-last_seen"]

_SORTS: Final[dict[str, Sort]] = {"created": "created", "name": "name", "last_seen": "last_seen"}

ByLabel = Annotated[
    list[str] | None,
    QueryParameter(
        name="label",
        description="Only those that have this label, NAME=VALUE; all of them where several.",
        schema_extra=PAIR,
    ),
]
ByState = Annotated[State | None, QueryParameter(name="state", description="Only those that are so.")]
ByText = Annotated[
    str,
    QueryParameter(
        name="search",
        max_length=253,
        description="Only those with this in their name or address, or at the beginning of their id.",
    ),
]
InOrder = Annotated[
    Order,
    QueryParameter(
        name="sort", description="Where `last_seen` is when one last came or went; with `-` the other way round."
    ),
]


class Backend(Struct):
    """`name` and `labels` are what was given by operators, and else what the agent tells (`facts`).

    `address` is where it is connected from, or last was; `last_seen` is now while it is connected; `facts` are null
    where the agent tells none. `extensions` are those of the connection. `revoked_at` is when its token was ended for
    good. `load` is how it was by its newest sample; null where the server has seen none since it started. Times in
    epoch seconds.
    """

    id: str
    name: str
    labels: dict[str, str]
    given_name: str | None
    given_labels: dict[str, str]
    connected: bool
    connected_since: float | None
    address: str
    enrolled_by: str
    created_at: float
    last_seen: float
    revoked_at: float | None
    facts: AgentFacts | None
    extensions: dict[str, int]
    load: Load | None


class BackendChange(Struct, forbid_unknown_fields=True):
    """`name` null gives it back its own; a label that is null is taken away. What is left out stays as it is."""

    name: MachineName | UnsetType | None = UNSET
    labels: Annotated[dict[LabelName, LabelValue | None], Meta(max_length=64)] | UnsetType = UNSET


WithRecent = Annotated[
    bool, QueryParameter(name="recent", description=f"Give each `load` the last {RECENT} samples, to draw small lines.")
]


def _shown(control: Control, backend: store.Backend, *, recent: bool) -> Backend:
    """Join what the store knows of a backend with its live session."""
    session = control.fleet.session(backend.id)
    return Backend(
        id=backend.id,
        name=backend.name,
        labels=backend.labels,
        given_name=backend.given_name,
        given_labels=backend.given_labels,
        connected=session is not None,
        connected_since=session.connected_at if session else None,
        address=session.address if session else backend.address,
        enrolled_by=backend.enrolled_by,
        created_at=backend.created_at,
        last_seen=time.time() if session else backend.last_seen,
        revoked_at=backend.revoked_at,
        facts=(session.facts if session else None) or backend.facts,
        extensions=session.extensions if session else {},
        load=control.collector.load(backend.id, recent=recent),
    )


@get(
    "/backends",
    operation_id="listBackends",
    summary="List backends",
    tags=[TAG],
    may=can_read,
    responses=raises(Problem.REQUEST_INVALID, *READING),
)
async def list_backends(
    control: Parts,
    request: AsUser,
    label: ByLabel = None,
    how: ByState = None,
    search: ByText = "",
    sort: InOrder = "created",
    recent: WithRecent = False,
    after: After = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Page[Backend]:
    """Return the backends, the oldest first unless `sort` says otherwise."""
    sought = Sought(
        labels=pairs_of(label, "label"),
        text=search,
        is_revoked=None if how is None else how == "revoked",
        sort=_SORTS[sort.removeprefix("-")],
        descending=sort.startswith("-"),
    )

    def wanted(backend_id: str) -> bool:
        return (control.fleet.session(backend_id) is not None) == (how == "online")

    async def fetch(cursor: str | None, count: int) -> list[store.Backend]:
        place = None if cursor is None else _place(cursor, sought.sort)
        asks_fleet = how in ("online", "offline")
        sight = request.user.sight
        return await control.store.search.page(sought, place, count, sight, wanted if asks_fleet else None)

    page = await turn(fetch, lambda backend: cursor_of(sought.sort, backend), after, limit)
    return Page([_shown(control, backend, recent=recent) for backend in page.items], page.next)


def _place(cursor: str, sort: Sort) -> Cursor:
    try:
        return Cursor.of(cursor, sort)
    except ValueError:
        raise ProblemError(Problem.REQUEST_INVALID, "after: it must be the `next` of a page") from None


class NewBackend(Struct, forbid_unknown_fields=True):
    """`name` must be no other backend's."""

    name: MachineName


@post(
    "/backends",
    operation_id="addBackend",
    summary="Add a backend that runs no agent",
    tags=[TAG],
    may=can_operate,
    whole=True,
    audits=Action.BACKEND_ADDED,
    responses=raises(Problem.REQUEST_INVALID, Problem.BODY_TOO_LARGE, *ADMINISTERING, Problem.ALREADY_EXISTS),
)
async def add_backend(control: Parts, request: AsUser, data: JSONBody[NewBackend]) -> Backend:
    """Add a phone or a laptop that is to have a VPN configuration and runs no agent; it is never connected."""
    with control.audit.act(request.user, Action.BACKEND_ADDED, target=data.name) as act:
        if await control.store.backends.find(data.name):
            raise ProblemError(Problem.ALREADY_EXISTS)
        backend = await control.store.backends.create(request.user.name, "", act.kept(), name=data.name)
    control.events.publish(Kind.BACKEND_ENROLLED, backend.id, enrolled_by=request.user.name)
    log.info("backend added", user=request.user.name, backend=backend.id, name=data.name)
    return _shown(control, backend, recent=False)


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
    return _shown(control, backend, recent=True)


@patch(
    "/",
    operation_id="changeBackend",
    summary="Name and label a backend",
    tags=[TAG],
    may=can_operate,
    audits=Action.BACKEND_CHANGED,
    responses=raises(Problem.REQUEST_INVALID, Problem.BODY_TOO_LARGE, *OPERATING, Problem.ALREADY_EXISTS),
)
async def change_backend(control: Parts, request: AsUser, backend: Named, data: JSONBody[BackendChange]) -> Backend:
    """Give a backend a name and labels; they go before those that its agent tells."""
    labels = {} if isinstance(data.labels, UnsetType) else data.labels
    change = store.Change(name=data.name, labels=labels)
    with control.audit.act(request.user, Action.BACKEND_CHANGED, backend.id, **_said(data)) as act:
        _must_be_free(request.user, labels)
        changed = await control.store.backends.change(backend.id, change, act.kept())
        if changed is None:
            raise ProblemError(Problem.BACKEND_UNKNOWN)
    control.events.publish(Kind.BACKEND_CHANGED, backend.id, name=changed.name)
    log.info("backend changed", user=request.user.name, backend=backend.id, name=changed.name, **_said(data))
    return _shown(control, changed, recent=False)


def _must_be_free(caller: Caller, labels: Mapping[str, str | None]) -> None:
    """Raise a ProblemError where somebody would move a backend over the border of what that somebody may see."""
    for name, _ in caller.sight.labels:
        if name in labels:
            raise ProblemError(Problem.PERMISSION_DENIED, f"labels: {name} is what {caller.name} is limited by")


def _said(data: BackendChange) -> dict[str, str]:
    """Return in short what is changed, for the audit."""
    labels = {} if isinstance(data.labels, UnsetType) else data.labels
    named = "" if isinstance(data.name, UnsetType) else data.name or "its own"
    return {key: text for key, text in (("given_name", named), ("labels", said(labels))) if text}


@post(
    "/revoke",
    operation_id="revokeBackend",
    summary="Revoke a backend",
    tags=[TAG],
    status_code=200,
    may=can_administer,
    audits=Action.BACKEND_REVOKED,
    responses=raises(Problem.REQUEST_INVALID, *OPERATING),
)
async def revoke_backend(control: Parts, request: AsUser, backend: Named) -> Backend:
    """End a backend's token and its VPN lease for good, and keep it in the list, with its runs.

    Its programs go on; its machine can enrol again, as another backend.
    """
    with control.audit.act(request.user, Action.BACKEND_REVOKED, backend.id, name=backend.name) as act:
        if not await control.store.backends.revoke(backend.id, act.kept()):
            raise ProblemError(Problem.BACKEND_UNKNOWN)
    await _send_away(control, request.user, backend, Kind.BACKEND_REVOKED, "revoked")
    found = await control.store.backends.get(backend.id)
    if found is None:
        raise ProblemError(Problem.BACKEND_UNKNOWN)
    return _shown(control, found, recent=False)


@delete(
    "/",
    operation_id="removeBackend",
    summary="Remove a backend",
    tags=[TAG],
    may=can_administer,
    audits=Action.BACKEND_REMOVED,
    responses=raises(Problem.REQUEST_INVALID, *OPERATING),
)
async def remove_backend(control: Parts, request: AsUser, backend: Named) -> None:
    """End a backend's token, and forget its runs, samples and VPN lease. Its programs go on; it can enrol again."""
    with control.audit.act(request.user, Action.BACKEND_REMOVED, backend.id, name=backend.name) as act:
        if not await control.store.backends.remove(backend.id, act.kept()):
            raise ProblemError(Problem.BACKEND_UNKNOWN)
    control.collector.forget(backend.id)
    await _send_away(control, request.user, backend, Kind.BACKEND_REMOVED, "removed")


async def _send_away(control: Control, caller: Caller, backend: store.Backend, kind: Kind, what: str) -> None:
    """End the connection and the tunnels of a backend whose token has ended."""
    gone = backend.labels if kind is Kind.BACKEND_REMOVED else None
    control.events.publish(kind, backend.id, gone, name=backend.name)
    control.fleet.disconnect(backend.id, CloseCode.TOKEN_ENDED, f"this backend has been {what}")
    await control.vpn.forget(backend.id)
    log.info("backend sent away", what=what, user=caller.name, backend=backend.id)
