"""People and machines that may log in or enrol. For admins alone."""

from __future__ import annotations

from litestar import delete, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Struct, UnsetType

from quix import logs
from quix.api.access import AsUser, Parts
from quix.api.errors import raises
from quix.api.pages import DEFAULT_LIMIT, After, Limit, Page, turn
from quix.api.problems import ADMINISTERING, Problem, ProblemError
from quix.server.accounts import can_administer
from quix.server.control import Control
from quix.store.users import Role, User

log = logs.get(__name__)

TAG = "users"


class NewUser(Struct, forbid_unknown_fields=True):
    """`name` of 1 to 64 letters, digits, dots, underscores or hyphens; `password` of 8 to 1024 characters."""

    name: str
    role: Role
    password: str

    def __repr__(self) -> str:
        return f"NewUser(name={self.name!r}, role={self.role!r})"


class UserChange(Struct, forbid_unknown_fields=True):
    """Either `role` or `password`, one change at a time, so that it is made as a whole or not at all."""

    role: Role | UnsetType = UNSET
    password: str | UnsetType = UNSET

    def __repr__(self) -> str:
        return f"UserChange(role={self.role!r})"


@get(
    "/users",
    operation_id="listUsers",
    summary="List users",
    tags=[TAG],
    may=can_administer,
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
    responses=raises(Problem.REQUEST_INVALID, Problem.BODY_TOO_LARGE, *ADMINISTERING, Problem.ALREADY_EXISTS),
)
async def add_user(control: Parts, request: AsUser, data: JSONBody[NewUser]) -> User:
    """Add a user."""
    user = await control.accounts.add_user(data.name, data.role, data.password)
    log.info("user added", user=request.user.name, name=user.name, role=user.role.value)
    return user


@patch(
    "/users/{name:str}",
    operation_id="changeUser",
    summary="Change a user",
    tags=[TAG],
    may=can_administer,
    responses=raises(
        Problem.REQUEST_INVALID,
        Problem.BODY_TOO_LARGE,
        *ADMINISTERING,
        Problem.USER_UNKNOWN,
        Problem.LAST_ADMIN,
    ),
)
async def change_user(control: Parts, request: AsUser, name: FromPath[str], data: JSONBody[UserChange]) -> User:
    """Give a user another role, which holds at once, or another password, which ends the user's logins."""
    changed = await _change(control, name, data)
    user = await control.store.users.get(name) if changed else None
    if user is None:
        raise ProblemError(Problem.USER_UNKNOWN)
    what = "password" if data.role is UNSET else "role"
    log.info("user changed", user=request.user.name, name=name, what=what, role=user.role.value)
    return user


async def _change(control: Control, name: str, data: UserChange) -> bool:
    if not isinstance(data.role, UnsetType) and data.password is UNSET:
        return await control.store.users.set_role(name, data.role)
    if not isinstance(data.password, UnsetType) and data.role is UNSET:
        return await control.accounts.set_password(name, data.password)
    raise ProblemError(Problem.REQUEST_INVALID, "body: either role or password is needed, and not both")


@delete(
    "/users/{name:str}",
    operation_id="removeUser",
    summary="Remove a user",
    tags=[TAG],
    may=can_administer,
    responses=raises(Problem.REQUEST_INVALID, *ADMINISTERING, Problem.USER_UNKNOWN, Problem.LAST_ADMIN),
)
async def remove_user(control: Parts, request: AsUser, name: FromPath[str]) -> None:
    """Remove a user and end the user's logins; backends that the user enrolled stay."""
    if not await control.store.users.remove(name):
        raise ProblemError(Problem.USER_UNKNOWN)
    log.info("user removed", user=request.user.name, name=name)
