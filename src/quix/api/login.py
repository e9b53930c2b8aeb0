"""Logging in and out: a password once, a token from then on."""

from __future__ import annotations

from litestar import get, post
from litestar.params import JSONBody
from msgspec import Struct

from quix.api.access import AsUser, Parts
from quix.api.errors import AnyRequest, raises
from quix.api.guards import bearer_token
from quix.api.problems import READING, Problem
from quix.server.accounts import can_read
from quix.store.users import Role

TAG = "login"


class Credentials(Struct, forbid_unknown_fields=True):
    """A user's name and password."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r})"


class Me(Struct):
    """Who is logged in."""

    username: str
    role: Role


class Login(Struct):
    """`token` goes into `Authorization: Bearer TOKEN` of every request, for `validity` seconds."""

    token: str
    validity: int
    username: str
    role: Role

    def __repr__(self) -> str:
        return f"Login(username={self.username!r}, validity={self.validity})"


@post(
    "/login",
    operation_id="login",
    summary="Log in",
    tags=[TAG],
    status_code=200,
    responses=raises(
        Problem.REQUEST_INVALID,
        Problem.PASSWORD_INVALID,
        Problem.PERMISSION_DENIED,
        Problem.BODY_TOO_LARGE,
        Problem.RATE_LIMITED,
    ),
)
async def login(control: Parts, request: AnyRequest, data: JSONBody[Credentials]) -> Login:
    """Check a password and hand out a token. A user who may only enrol backends cannot log in."""
    source = request.client.host if request.client else ""
    made = await control.accounts.login(data.username, data.password, source)
    return Login(made.token, made.validity, made.user.name, made.user.role)


@post(
    "/logout",
    operation_id="logout",
    summary="Log out",
    tags=[TAG],
    status_code=204,
    may=can_read,
    responses=raises(*READING),
)
async def logout(control: Parts, request: AsUser) -> None:
    """End the token that came with the request."""
    await control.accounts.logout(bearer_token(request))


@get(
    "/me",
    operation_id="me",
    summary="Who am I",
    tags=[TAG],
    may=can_read,
    responses=raises(*READING),
)
async def me(request: AsUser) -> Me:
    """Return who is logged in, with the role of today."""
    return Me(request.user.name, request.user.role)
