"""People and machines that may log in or enrol. For admins alone."""

from __future__ import annotations

from typing import Annotated

from litestar import delete, get, patch, post
from litestar.params import JSONBody, PathParameter
from msgspec import UNSET, Struct, UnsetType

from quix import logs
from quix.api.access import AsUser, Parts
from quix.api.errors import raises
from quix.api.labels import Labels, said
from quix.api.names import Password, ShortName
from quix.api.pages import DEFAULT_LIMIT, After, Limit, Page, turn
from quix.api.problems import ADMINISTERING, Problem, ProblemError
from quix.server.accounts import can_administer
from quix.server.caller import Caller
from quix.server.control import Control
from quix.server.events import Kind
from quix.store.actions import Action
from quix.store.users import Role, User

log = logs.get(__name__)

TAG = "users"

Named = Annotated[str, PathParameter(description="The user's name.")]


class NewUser(Struct, forbid_unknown_fields=True):
    """`name` of 1 to 64 letters, digits, dots, underscores or hyphens; `password` of 8 to 1024 characters.

    `labels` are those that a backend must have for the user to know of it; without, the user sees all.
    """

    name: ShortName
    role: Role
    password: Password
    labels: Labels = {}

    def __repr__(self) -> str:
        return f"NewUser(name={self.name!r}, role={self.role!r})"


class UserChange(Struct, forbid_unknown_fields=True):
    """One of `role`, `password` and `labels`: a change is made as a whole or not at all."""

    role: Role | UnsetType = UNSET
    password: Password | UnsetType = UNSET
    labels: Labels | UnsetType = UNSET

    def __repr__(self) -> str:
        return f"UserChange(role={self.role!r})"


@get(
    "/users",
    operation_id="listUsers",
    summary="List users",
    tags=[TAG],
    may=can_administer,
    whole=True,
    responses=raises(Problem.REQUEST_INVALID, *ADMINISTERING),
)
async def list_users(control: Parts, after: After = None, limit: Limit = DEFAULT_LIMIT) -> Page[User]:
    """Return the users by name."""
    return await turn(control.store.users.page, lambda user: user.name, after, limit)


@post(
    "/users",
    operation_id="addUser",
    summary="Add a user",
    tags=[TAG],
    may=can_administer,
    whole=True,
    by_login=True,
    audits=Action.USER_ADDED,
    responses=raises(Problem.REQUEST_INVALID, Problem.BODY_TOO_LARGE, *ADMINISTERING, Problem.ALREADY_EXISTS),
)
async def add_user(control: Parts, request: AsUser, data: JSONBody[NewUser]) -> User:
    """Add a user."""
    about = {"role": data.role.value, "labels": said(data.labels)}
    with control.audit.act(request.user, Action.USER_ADDED, "", data.name, **about) as act:
        user = await control.accounts.add_user(data.name, data.role, data.password, act.kept(), data.labels)
    control.events.publish(Kind.USER_ADDED, name=user.name)
    log.info("user added", user=request.user.name, name=user.name, role=user.role.value)
    return user


@patch(
    "/users/{name:str}",
    operation_id="changeUser",
    summary="Change a user",
    tags=[TAG],
    may=can_administer,
    whole=True,
    by_login=True,
    audits=Action.USER_CHANGED,
    responses=raises(
        Problem.REQUEST_INVALID,
        Problem.BODY_TOO_LARGE,
        *ADMINISTERING,
        Problem.USER_UNKNOWN,
        Problem.LAST_ADMIN,
    ),
)
async def change_user(control: Parts, request: AsUser, name: Named, data: JSONBody[UserChange]) -> User:
    """Give a user another role or other labels, which hold at once, or another password, which ends the user's logins
    and tokens."""
    await _change(control, request.user, name, data)
    user = await control.store.users.get(name)
    if user is None:
        raise ProblemError(Problem.USER_UNKNOWN)
    control.events.publish(Kind.USER_CHANGED, name=name)
    what = [key for key in UserChange.__struct_fields__ if getattr(data, key) is not UNSET]
    log.info("user changed", user=request.user.name, name=name, what=what[0], role=user.role.value)
    return user


async def _change(control: Control, caller: Caller, name: str, data: UserChange) -> None:
    if [data.role, data.password, data.labels].count(UNSET) != 2:
        raise ProblemError(Problem.REQUEST_INVALID, "body: one of role, password and labels is needed, and one alone")
    users, audit = control.store.users, control.audit
    if not isinstance(data.role, UnsetType):
        with audit.act(caller, Action.USER_CHANGED, target=name, role=data.role.value) as act:
            _must_exist(await users.set_role(name, data.role, act.kept()))
    elif not isinstance(data.labels, UnsetType):
        with audit.act(caller, Action.USER_CHANGED, target=name, labels=said(data.labels) or "none") as act:
            _must_exist(await users.set_labels(name, data.labels, act.kept()))
    elif not isinstance(data.password, UnsetType):
        with audit.act(caller, Action.PASSWORD_CHANGED, target=name) as act:
            _must_exist(await control.accounts.set_password(name, data.password, act.kept()))


def _must_exist(found: bool) -> None:
    if not found:
        raise ProblemError(Problem.USER_UNKNOWN)


@delete(
    "/users/{name:str}",
    operation_id="removeUser",
    summary="Remove a user",
    tags=[TAG],
    may=can_administer,
    whole=True,
    by_login=True,
    audits=Action.USER_REMOVED,
    responses=raises(Problem.REQUEST_INVALID, *ADMINISTERING, Problem.USER_UNKNOWN, Problem.LAST_ADMIN),
)
async def remove_user(control: Parts, request: AsUser, name: Named) -> None:
    """Remove a user and end the user's logins; backends that the user enrolled stay."""
    with control.audit.act(request.user, Action.USER_REMOVED, target=name) as act:
        _must_exist(await control.store.users.remove(name, act.kept()))
    control.events.publish(Kind.USER_REMOVED, name=name)
    log.info("user removed", user=request.user.name, name=name)
