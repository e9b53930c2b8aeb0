"""Enrolment keys: made, with the line that uses one, listed and ended. For admins alone."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from litestar import delete, get, post
from litestar.params import JSONBody, PathParameter
from msgspec import Meta, Struct

from quix import logs
from quix.api.access import AsUser, Parts
from quix.api.errors import raises
from quix.api.labels import Labels, said
from quix.api.pages import DEFAULT_LIMIT, After, Limit, Page, turn
from quix.api.problems import ADMINISTERING, Problem, ProblemError
from quix.server import invitation
from quix.server.accounts import can_administer
from quix.server.invitation import SERVER_URL, VpnKind
from quix.server.settings import ServerSettings
from quix.store.actions import Action
from quix.store.enrolments import Enrolment

log = logs.get(__name__)

TAG = "enrolments"

_HOUR: Final = 3600
_YEAR: Final = 365 * 86400
_MOST: Final = 100_000


class NewEnrolment(Struct, forbid_unknown_fields=True):
    """The key ends after `expires` seconds, and after `uses` machines have enrolled with it. Each is given the
    `labels`; with `vpn` its agent brings that tunnel up. `server` is the URL that agents dial, wss://HOST[:PORT]/wsi,
    where the settings do not tell it, as behind a proxy."""

    expires: Annotated[int, Meta(ge=1, le=_YEAR)] = _HOUR
    uses: Annotated[int, Meta(ge=1, le=_MOST)] = 1
    labels: Labels = {}
    vpn: VpnKind | None = None
    server: Annotated[str, Meta(max_length=300, extra_json_schema={"pattern": SERVER_URL})] | None = None


class MadeEnrolment(Struct):
    """`command` is the line for the machine. It holds the key's secret, and is told this once."""

    id: str
    name: str
    command: str
    expires_at: float
    uses: int
    labels: dict[str, str]

    def __repr__(self) -> str:
        return f"MadeEnrolment(id={self.id!r}, name={self.name!r})"


@get(
    "/enrolments",
    operation_id="listEnrolments",
    summary="List enrolment keys",
    tags=[TAG],
    may=can_administer,
    whole=True,
    responses=raises(Problem.REQUEST_INVALID, *ADMINISTERING),
)
async def list_enrolments(control: Parts, after: After = None, limit: Limit = DEFAULT_LIMIT) -> Page[Enrolment]:
    """Return the enrolment keys that are not over, used up ones among them, the oldest first."""
    return await turn(control.store.enrolments.page, lambda each: each.id, after, limit)


@post(
    "/enrolments",
    operation_id="addEnrolment",
    summary="Make an enrolment key",
    tags=[TAG],
    may=can_administer,
    whole=True,
    audits=Action.ENROLMENT_ADDED,
    responses=raises(Problem.REQUEST_INVALID, Problem.BODY_TOO_LARGE, *ADMINISTERING),
)
async def add_enrolment(control: Parts, request: AsUser, data: JSONBody[NewEnrolment]) -> MadeEnrolment:
    """Make an enrolment key and the line that, in a shell of a machine, installs the agent and enrols it."""
    key = control.store.enrolments.new(request.user.name, data.expires, data.uses, data.labels)
    about = {"key": key.name, "uses": str(data.uses), "expires": str(data.expires), "labels": said(data.labels)}
    with control.audit.act(request.user, Action.ENROLMENT_ADDED, "", key.id, **about) as act:
        url = await asyncio.to_thread(_url, control.settings, data, request.url.hostname or "")
        secret = await control.store.enrolments.add(key, act.kept())
    log.info("enrolment key made", user=request.user.name, key=key.name, uses=key.uses, labels=about["labels"])
    command = await asyncio.to_thread(invitation.line, control.settings, url, key.name, secret, data.vpn)
    return MadeEnrolment(key.id, key.name, command, key.expires_at, key.uses, key.labels)


def _url(settings: ServerSettings, data: NewEnrolment, asked: str) -> str:
    if data.vpn is not None and not getattr(settings.vpn, data.vpn).enabled:
        raise ProblemError(Problem.REQUEST_INVALID, f"vpn: {data.vpn} is not enabled on this server")
    return invitation.agents_url(settings, asked) if data.server is None else invitation.checked(data.server)


@delete(
    "/enrolments/{id:str}",
    operation_id="endEnrolment",
    summary="End an enrolment key",
    tags=[TAG],
    may=can_administer,
    whole=True,
    audits=Action.ENROLMENT_ENDED,
    responses=raises(Problem.REQUEST_INVALID, *ADMINISTERING, Problem.ENROLMENT_UNKNOWN),
)
async def end_enrolment(
    control: Parts,
    request: AsUser,
    id: Annotated[str, PathParameter(description="The key's id.")],  # noqa: A002 - it is the path's name
) -> None:
    """End an enrolment key at once; the machines that have enrolled with it stay."""
    with control.audit.act(request.user, Action.ENROLMENT_ENDED, target=id) as act:
        if not await control.store.enrolments.end(id, act.kept()):
            raise ProblemError(Problem.ENROLMENT_UNKNOWN)
    log.info("enrolment key ended", user=request.user.name, id=id)
