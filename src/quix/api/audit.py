"""Who did what to which backend, from where, with what outcome. For admins alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Final

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter, SkipValidation
from litestar.response import Stream

from quix.api.access import AsUser, Parts, one_backend
from quix.api.errors import raises
from quix.api.pages import DEFAULT_LIMIT, Limit, Page, turn
from quix.api.problems import ADMINISTERING, Problem, ProblemError
from quix.server.accounts import can_administer
from quix.store.actions import Action
from quix.store.audit import AuditRow, Wanted

TAG = "audit"

_AT_ONCE: Final = 100
"""Rows that go out together."""

_LONGEST_CURSOR: Final = 15

OfUser = Annotated[str | None, QueryParameter(name="user", description="Only what this user did.")]
OfBackend = Annotated[
    str | None, QueryParameter(name="backend", description="Only what was about this backend: its id, or its name.")
]
OfAction = Annotated[Action | None, QueryParameter(name="action", description="Only this.")]
WithOutcome = Annotated[
    str | None, QueryParameter(name="outcome", description="Only what ended so: `success`, or a reason.")
]
Since = Annotated[float | None, QueryParameter(name="since", description="Not what was before; epoch seconds.")]
Until = Annotated[float | None, QueryParameter(name="until", description="Only what was before; epoch seconds.")]

AfterRow = Annotated[
    str | None,
    QueryParameter(
        name="after",
        description="`next` of the page before; left out for the first page.",
        schema_extra={"pattern": f"^[0-9]{{1,{_LONGEST_CURSOR}}}$"},
    ),
]

Chosen = NamedDependency[SkipValidation[Wanted]]


async def find_wanted(
    control: Parts,
    request: AsUser,
    user: OfUser = None,
    backend: OfBackend = None,
    action: OfAction = None,
    outcome: WithOutcome = None,
    since: Since = None,
    until: Until = None,
) -> Wanted:
    """Return what the filters of a request mean. Raises ProblemError(BACKEND_AMBIGUOUS)."""
    backend_id = backend
    if backend is not None:
        try:
            backend_id = (await one_backend(control, backend, request.user.sight)).id
        except ProblemError as error:
            # What was removed is still in the audit, by its id.
            if error.problem is not Problem.BACKEND_UNKNOWN:
                raise
    return Wanted(
        user=user,
        backend_id=backend_id,
        action=action,
        outcome=outcome,
        since=since,
        until=until,
        sight=request.user.sight,
    )


@get(
    "/",
    operation_id="listAudit",
    summary="List the audit",
    tags=[TAG],
    may=can_administer,
    responses=raises(Problem.REQUEST_INVALID, *ADMINISTERING, Problem.BACKEND_AMBIGUOUS),
)
async def list_audit(
    control: Parts, wanted: Chosen, after: AfterRow = None, limit: Limit = DEFAULT_LIMIT
) -> Page[AuditRow]:
    """Return what was done, the newest first."""
    if after is not None and not (after.isascii() and after.isdigit() and len(after) <= _LONGEST_CURSOR):
        raise ProblemError(Problem.REQUEST_INVALID, "after: it must be the `next` of a page")

    async def fetch(cursor: str | None, count: int) -> list[AuditRow]:
        return await control.store.audit.newest(wanted, None if cursor is None else int(cursor), count)

    return await turn(fetch, lambda row: str(row.id), after, limit)


@get(
    "/export",
    operation_id="exportAudit",
    summary="Export the audit",
    tags=[TAG],
    may=can_administer,
    audits=Action.AUDIT_EXPORTED,
    media_type="application/jsonl",
    responses=raises(Problem.REQUEST_INVALID, *ADMINISTERING, Problem.BACKEND_AMBIGUOUS),
)
async def export_audit(control: Parts, request: AsUser, wanted: Chosen) -> Stream:
    """Return all rows, the oldest first, each as a line of JSON.

    The `hash` of a row is the SHA-256 of the 32 bytes of the hash before it (zeros before the first) and of the JSON
    array of `id`, `at`, `user`, `address`, `action`, `backend_id`, `target`, `outcome` and the text of `detail`.
    """
    with control.audit.act(request.user, Action.AUDIT_EXPORTED):
        rows = control.store.audit.scan(wanted)
        # The first row now: where the store is away, that can still be said.
        first = await anext(rows, None)
    return Stream(_lines(first, rows), media_type="application/jsonl")


async def _lines(first: AuditRow | None, rows: AsyncIterator[AuditRow]) -> AsyncIterator[bytes]:
    if first is None:
        return
    lines = [_line(first)]
    async for row in rows:
        lines.append(_line(row))
        if len(lines) >= _AT_ONCE:
            yield b"".join(lines)
            lines.clear()
    yield b"".join(lines)


def _line(row: AuditRow) -> bytes:
    return msgspec.json.encode(row) + b"\n"
