"""Who asks, and whether the role of whoever asks allows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.exceptions import MethodNotAllowedException
from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import SecurityRequirement, SecurityScheme
from litestar.routes import HTTPRoute

from quix.api.cookies import MARK, cookie_token
from quix.api.problems import Problem, ProblemError
from quix.server.caller import Caller
from quix.server.control import Control
from quix.store.audit import Entry
from quix.store.errors import StoreUnavailableError

SCHEME: Final = SecurityScheme(type="http", scheme="bearer", description="The token that `POST /api/v1/login` gives.")
SECURITY: Final[list[SecurityRequirement]] = [{"bearer": []}]

AnyConnection = ASGIConnection[Any, Any, Any, Any]


async def authorize(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """Guard of every route that needs a login; `connection.user` is the `Caller` from here on.

    A handler says who may use it by `may=`, a function of `quix.server.accounts` that takes a role. One that does
    not say is used by nobody. By `audits=` it says which `Action` it is, so that who may not is in the audit too; by
    `whole=True` that it is about more than some backends; by `by_login=True` that no personal token will do.

    Raises:
        ProblemError: NOT_AUTHENTICATED, TOKEN_INVALID or PERMISSION_DENIED.
        MethodNotAllowedException: for OPTIONS; Litestar's own answer to it leaves methods out where a path has several.
    """
    if "may" not in handler.opt and connection.scope.get("method") == "OPTIONS":
        raise MethodNotAllowedException(headers={"allow": _methods(connection)})
    control: Control = connection.app.state.control
    caller = await control.accounts.caller(bearer_token(connection), address(connection))
    if caller is None:
        raise ProblemError(Problem.TOKEN_INVALID)
    if not handler.opt["may"](caller.role):
        detail = f"{caller.name} has the role {caller.role}, which does not allow that"
    elif handler.opt.get("whole") and not caller.sight.is_whole:
        detail = f"{caller.name} is limited to some backends here, and this is about more than them"
    elif handler.opt.get("by_login") and caller.token:
        detail = "a personal token does not allow that; log in with a password"
    else:
        connection.scope["user"] = caller
        return
    note_failure(control, caller, handler, connection.path_params, Problem.PERMISSION_DENIED)
    raise ProblemError(Problem.PERMISSION_DENIED, detail)


async def still_holds(control: Control, caller: Caller, token: str) -> bool:
    """Return whether whoever began with this token may still do the same."""
    try:
        return await control.accounts.caller(token, caller.address) == caller
    except StoreUnavailableError:  # nobody was told otherwise
        return True


def address(connection: AnyConnection) -> str:
    """Return the IP address that a request came from."""
    return connection.client.host if connection.client else ""


_NAMED: Final = ("backend_id", "name", "id")
"""What a path may name."""


def note_failure(
    control: Control, caller: Caller, handler: BaseRouteHandler, path: Mapping[str, Any], problem: Problem
) -> None:
    """Have the audit say that what a handler does was refused before it began."""
    action = handler.opt.get("audits")
    if action is not None:
        target = str(next((path[name] for name in _NAMED if name in path), ""))
        user, source = caller.name, caller.address
        control.audit.note(Entry(action=action, user=user, address=source, target=target, outcome=problem.value))


def bearer_token(connection: AnyConnection, *, changes: bool = False) -> str:
    """Return the token that came with a request, as a bearer or, from a browser, in its cookie; `changes` where the
    request changes something though its method does not say so.

    Raises:
        ProblemError: NOT_AUTHENTICATED where there is none.
    """
    header = connection.headers.get("authorization")
    if header is None and (found := cookie_token(connection, changes=changes)):
        return found
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        detail = f"A browser's cookie counts with {MARK}: 1 only." if connection.cookies and header is None else ""
        raise ProblemError(Problem.NOT_AUTHENTICATED, detail)
    return token.strip()


def _methods(connection: AnyConnection) -> str:
    template = connection.scope["path_template"]
    routes = [route for route in connection.app.routes if isinstance(route, HTTPRoute)]
    return ", ".join(
        sorted({method for route in routes if route.path_format == template for method in route.methods} - {"OPTIONS"})
    )
