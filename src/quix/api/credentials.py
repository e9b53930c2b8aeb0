"""Logins and personal tokens: made, listed and ended. Each user's own; an admin's also those of others."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import delete, get, post
from litestar.params import JSONBody, PathParameter, QueryParameter
from msgspec import Meta, Struct

from quix import logs
from quix.api.access import AsUser, Parts, one_backend
from quix.api.errors import raises
from quix.api.guards import bearer_token
from quix.api.labels import Labels, said
from quix.api.names import Password, ShortName
from quix.api.pages import DEFAULT_LIMIT, After, Limit, Page, turn
from quix.api.problems import ADMINISTERING, Problem, ProblemError
from quix.server.accounts import can_administer, can_read
from quix.server.caller import Caller
from quix.server.control import Control
from quix.store.actions import Action
from quix.store.credentials import Credential
from quix.store.sight import Sight
from quix.store.tokens import LOGIN, PERSONAL, Kind
from quix.store.users import Role

log = logs.get(__name__)

TAG = "credentials"

_MONTH: Final = 30 * 86400
_DECADE: Final = 10 * 365 * 86400

OfUser = Annotated[
    str | None, QueryParameter(name="user", description="Those of this user, for admins; else those of who asks.")
]


class NewToken(Struct, forbid_unknown_fields=True):
    """What a token is for: `role`, viewer, operator or admin, is at most that of its user; with `labels` only
    backends that have all of them, with `backends` (ids or names) only those. It ends after `validity` seconds."""

    name: ShortName
    role: Annotated[Role, Meta(extra_json_schema={"not": {"const": Role.ENROLLER.value}})]
    labels: Labels = {}
    backends: Annotated[list[str], Meta(min_length=1, max_length=100)] | None = None
    validity: Annotated[int, Meta(ge=1, le=_DECADE)] = _MONTH


class PersonalToken(Struct):
    """A personal token as it is listed, without its secret. `backends` null: all that have the labels. Times in epoch
    seconds; `used_at` null where it never was, and within a minute of the last use else."""

    id: str
    user: str
    name: str
    role: Role
    labels: dict[str, str]
    backends: list[str] | None
    created_at: float
    expires_at: float
    used_at: float | None


class MadeToken(PersonalToken):
    """With the `token` itself, which is told this once."""

    token: str

    def __repr__(self) -> str:
        return f"MadeToken(id={self.id!r}, name={self.name!r})"


class Session(Struct):
    """A login. `is_this`: the request was made with it. Times in epoch seconds; `used_at` null where it never was."""

    id: str
    user: str
    address: str
    user_agent: str
    created_at: float
    expires_at: float
    used_at: float | None
    is_this: bool


class NewPassword(Struct, forbid_unknown_fields=True):
    """The password of now, and the next one, of 8 to 1024 characters."""

    old: str
    new: Password

    def __repr__(self) -> str:
        return "NewPassword()"


def _token(made: Credential) -> PersonalToken:
    assert made.role is not None
    return PersonalToken(
        id=made.id,
        user=made.user,
        name=made.name,
        role=made.role,
        labels=dict(made.sight.labels),
        backends=None if made.sight.backends is None else list(made.sight.backends),
        created_at=made.created_at,
        expires_at=made.expires_at,
        used_at=made.used_at,
    )


def _session(made: Credential, caller: Caller) -> Session:
    return Session(
        id=made.id,
        user=made.user,
        address=made.address,
        user_agent=made.user_agent,
        created_at=made.created_at,
        expires_at=made.expires_at,
        used_at=made.used_at,
        is_this=made.id == caller.login,
    )


# -- personal tokens ------------------------------------------------------------------------------


@get(
    "/tokens",
    operation_id="listTokens",
    summary="List personal tokens",
    tags=[TAG],
    may=can_read,
    by_login=True,
    responses=raises(Problem.REQUEST_INVALID, *ADMINISTERING),
)
async def list_tokens(
    control: Parts, request: AsUser, user: OfUser = None, after: After = None, limit: Limit = DEFAULT_LIMIT
) -> Page[PersonalToken]:
    """Return the personal tokens that are valid, the oldest first."""
    page = await _listed(control, request.user, PERSONAL, user, after, limit)
    return Page([_token(each) for each in page.items], page.next)


@post(
    "/tokens",
    operation_id="addToken",
    summary="Make a personal token",
    tags=[TAG],
    may=can_read,
    by_login=True,
    audits=Action.TOKEN_ADDED,
    responses=raises(
        Problem.REQUEST_INVALID,
        Problem.BODY_TOO_LARGE,
        *ADMINISTERING,
        Problem.BACKEND_UNKNOWN,
        Problem.BACKEND_AMBIGUOUS,
        Problem.ALREADY_EXISTS,
    ),
)
async def add_token(control: Parts, request: AsUser, data: JSONBody[NewToken]) -> MadeToken:
    """Make a token that stands for its user, and may do no more than it says, nor than the user may by then."""
    caller = request.user
    ids = None if data.backends is None else [await _id(control, caller, each) for each in data.backends]
    sight = Sight(tuple(sorted(data.labels.items())), None if ids is None else tuple(dict.fromkeys(ids)))
    about = {"name": data.name, "role": data.role.value, "labels": said(data.labels), "backends": " ".join(ids or ())}
    with control.audit.act(caller, Action.TOKEN_ADDED, "", "", **about) as act:
        token, made = await control.accounts.add_token(
            caller, bearer_token(request), data.name, data.role, sight, data.validity, act
        )
    log.info("personal token made", user=caller.name, id=made.id, role=data.role.value)
    shown = _token(made)
    return MadeToken(**{name: getattr(shown, name) for name in PersonalToken.__struct_fields__}, token=token)


async def _id(control: Control, caller: Caller, backend: str) -> str:
    return (await one_backend(control, backend, caller.sight)).id


@delete(
    "/tokens/{id:str}",
    operation_id="removeToken",
    summary="End a personal token",
    tags=[TAG],
    may=can_read,
    by_login=True,
    audits=Action.TOKEN_ENDED,
    responses=raises(Problem.REQUEST_INVALID, *ADMINISTERING, Problem.TOKEN_UNKNOWN),
)
async def remove_token(
    control: Parts,
    request: AsUser,
    id: Annotated[str, PathParameter(description="The token's id.")],  # noqa: A002 - it is the path's name
) -> None:
    """End a personal token at once."""
    await _end(control, request.user, PERSONAL, id, Action.TOKEN_ENDED, Problem.TOKEN_UNKNOWN)


# -- logins ---------------------------------------------------------------------------------------


@get(
    "/sessions",
    operation_id="listSessions",
    summary="List logins",
    tags=[TAG],
    may=can_read,
    by_login=True,
    responses=raises(Problem.REQUEST_INVALID, *ADMINISTERING),
)
async def list_sessions(
    control: Parts, request: AsUser, user: OfUser = None, after: After = None, limit: Limit = DEFAULT_LIMIT
) -> Page[Session]:
    """Return the logins that are valid, the oldest first."""
    page = await _listed(control, request.user, LOGIN, user, after, limit)
    return Page([_session(each, request.user) for each in page.items], page.next)


@delete(
    "/sessions/{id:str}",
    operation_id="endSession",
    summary="End a login",
    tags=[TAG],
    may=can_read,
    by_login=True,
    audits=Action.SESSION_ENDED,
    responses=raises(Problem.REQUEST_INVALID, *ADMINISTERING, Problem.SESSION_UNKNOWN),
)
async def end_session(
    control: Parts,
    request: AsUser,
    id: Annotated[str, PathParameter(description="The login's id.")],  # noqa: A002 - it is the path's name
) -> None:
    """End a login at once, that of the request too."""
    await _end(control, request.user, LOGIN, id, Action.SESSION_ENDED, Problem.SESSION_UNKNOWN)


@post(
    "/me/password",
    operation_id="changeMyPassword",
    summary="Change my password",
    tags=[TAG],
    status_code=204,
    may=can_read,
    by_login=True,
    audits=Action.PASSWORD_CHANGED,
    responses=raises(
        Problem.REQUEST_INVALID,
        Problem.BODY_TOO_LARGE,
        *ADMINISTERING,
        Problem.PASSWORD_INVALID,
        Problem.RATE_LIMITED,
    ),
)
async def change_my_password(control: Parts, request: AsUser, data: JSONBody[NewPassword]) -> None:
    """Change the password of who asks, who has to know the old one. The other logins end; personal tokens stay."""
    token = bearer_token(request)
    with control.audit.act(request.user, Action.PASSWORD_CHANGED, target=request.user.name) as act:
        await control.accounts.change_password(request.user, data.old, data.new, token, act)


# -- whose ----------------------------------------------------------------------------------------


def _is_over_all(caller: Caller) -> bool:
    return can_administer(caller.role) and caller.sight.is_whole


async def _listed(
    control: Control, caller: Caller, kind: Kind, user: str | None, after: str | None, limit: int
) -> Page[Credential]:
    whose = user or caller.name
    if whose != caller.name and not _is_over_all(caller):
        raise ProblemError(Problem.PERMISSION_DENIED, "user: only an admin sees those of others")

    async def fetch(cursor: str | None, count: int) -> list[Credential]:
        return await control.store.credentials.page(kind, whose, cursor, count)

    return await turn(fetch, lambda each: each.id, after, limit)


async def _end(control: Control, caller: Caller, kind: Kind, its_id: str, action: Action, unknown: Problem) -> None:
    with control.audit.act(caller, action, target=its_id) as act:
        found = await control.store.credentials.get(kind, its_id)
        # What is another's is not told from what is nobody's.
        if found is None or (found.user != caller.name and not _is_over_all(caller)):
            raise ProblemError(unknown)
        if not await control.store.credentials.end(found, act.kept()):
            raise ProblemError(unknown)
    log.info("credential ended", user=caller.name, kind=kind, id=its_id, of=found.user)
