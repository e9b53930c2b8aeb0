"""Logging in and out: a password once, a token from then on."""

from __future__ import annotations

from typing import Final

from litestar import Response, get, post
from litestar.params import JSONBody
from msgspec import Struct

from quix.api.access import AsUser, Parts
from quix.api.cookies import MARK, is_marked, token_cookie
from quix.api.errors import AnyRequest, raises
from quix.api.guards import address, bearer_token
from quix.api.problems import ADMINISTERING, READING, Problem, ProblemError
from quix.server import accounts
from quix.server.accounts import can_read
from quix.server.control import Control
from quix.store.actions import Action
from quix.store.audit import Entry
from quix.store.users import Role
from quix.wire.reasons import Refusal

TAG = "login"

_MAX_BODY: Final = 2**14
"""Bytes of a body that anybody may send: the longest password, each character of it escaped, has 12 KiB."""


class Credentials(Struct, forbid_unknown_fields=True):
    """A user's name and password."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r})"


class Me(Struct):
    """Who asks, with what holds for this token: `labels` and `backends` (null: all) are what is seen."""

    username: str
    role: Role
    labels: list[tuple[str, str]]
    backends: list[str] | None


class BrowserLogin(Struct):
    """Who is logged in now, for `validity` seconds; the token is in the cookie."""

    username: str
    role: Role
    validity: int


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
    request_max_body_size=_MAX_BODY,
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
    made = await _checked(control, request, data)
    return Login(made.token, made.validity, made.user.name, made.user.role)


@post(
    "/login/browser",
    operation_id="loginBrowser",
    request_max_body_size=_MAX_BODY,
    summary="Log a browser in",
    tags=[TAG],
    status_code=200,
    responses=raises(
        Problem.REQUEST_INVALID,
        Problem.NOT_AUTHENTICATED,
        Problem.PASSWORD_INVALID,
        Problem.PERMISSION_DENIED,
        Problem.BODY_TOO_LARGE,
        Problem.RATE_LIMITED,
    ),
)
async def login_browser(control: Parts, request: AnyRequest, data: JSONBody[Credentials]) -> Response[BrowserLogin]:
    """Check a password and set a cookie (HttpOnly, SameSite=Strict) that logs the browser in.

    Requests with the cookie that change something, this one among them, need the header `X-Quix-Console: 1`.
    """
    if not is_marked(request):
        raise ProblemError(Problem.NOT_AUTHENTICATED, f"{MARK}: 1 is needed")
    made = await _checked(control, request, data)
    cookie = token_cookie(request, made.token, made.validity)
    return Response(BrowserLogin(made.user.name, made.user.role, made.validity), cookies=[cookie])


async def _checked(control: Control, request: AnyRequest, data: Credentials) -> accounts.Login:
    """Check a password, and have the audit say where it was wrong. Raises Refusal as `Accounts.login`."""
    source = address(request)
    try:
        agent = request.headers.get("user-agent", "")
        return await control.accounts.login(data.username, data.password, source, agent)
    except Refusal as refusal:
        failed = Entry(action=Action.LOGIN_FAILED, address=source, outcome=refusal.reason)
        await control.audit.note_failed(failed, data.username)
        raise


@post(
    "/logout",
    operation_id="logout",
    summary="Log out",
    tags=[TAG],
    status_code=204,
    may=can_read,
    by_login=True,
    responses=raises(*ADMINISTERING),
)
async def logout(control: Parts, request: AsUser) -> Response[None]:
    """End the login that the request came with."""
    with control.audit.act(request.user, Action.LOGOUT):
        await control.accounts.logout(bearer_token(request))
    return Response(None, cookies=[token_cookie(request, "", 0)])


@get(
    "/me",
    operation_id="me",
    summary="Who am I",
    tags=[TAG],
    may=can_read,
    responses=raises(*READING),
)
async def me(request: AsUser) -> Me:
    """Return who asks, with the role of today, and what backends are seen."""
    sight = request.user.sight
    return Me(
        request.user.name,
        request.user.role,
        list(sight.labels),
        None if sight.backends is None else list(sight.backends),
    )
