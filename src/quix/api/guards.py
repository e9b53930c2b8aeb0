"""Who asks, and whether the role of whoever asks allows it."""

from __future__ import annotations

from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.exceptions import MethodNotAllowedException
from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import SecurityRequirement, SecurityScheme
from litestar.routes import HTTPRoute

from quix.api.problems import Problem, ProblemError
from quix.server.accounts import Accounts
from quix.server.control import Control
from quix.store.users import User

SCHEME: Final = SecurityScheme(type="http", scheme="bearer", description="The token that `POST /api/v1/login` gives.")
SECURITY: Final[list[SecurityRequirement]] = [{"bearer": []}]

AnyConnection = ASGIConnection[Any, Any, Any, Any]


async def authorize(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """Guard of every route that needs a login; `connection.user` is the `User` from here on.

    A handler says who may use it by `may=`, a function of `quix.server.accounts` that takes a role. One that does
    not say is used by nobody.

    Raises:
        ProblemError: NOT_AUTHENTICATED, TOKEN_INVALID or PERMISSION_DENIED.
        MethodNotAllowedException: for OPTIONS; Litestar's own answer to it leaves methods out where a path has several.
    """
    if "may" not in handler.opt and connection.scope.get("method") == "OPTIONS":
        raise MethodNotAllowedException(headers={"allow": _methods(connection)})
    control: Control = connection.app.state.control
    user = await _user(control.accounts, connection)
    if not handler.opt["may"](user.role):
        detail = f"{user.name} has the role {user.role}, which does not allow that"
        raise ProblemError(Problem.PERMISSION_DENIED, detail)
    connection.scope["user"] = user


def bearer_token(connection: AnyConnection) -> str:
    """Return the token that came with a request. Raises ProblemError(NOT_AUTHENTICATED) where there is none."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise ProblemError(Problem.NOT_AUTHENTICATED)
    return token.strip()


def _methods(connection: AnyConnection) -> str:
    template = connection.scope["path_template"]
    routes = [route for route in connection.app.routes if isinstance(route, HTTPRoute)]
    return ", ".join(
        sorted({method for route in routes if route.path_format == template for method in route.methods} - {"OPTIONS"})
    )


async def _user(accounts: Accounts, connection: AnyConnection) -> User:
    user = await accounts.user_of(bearer_token(connection))
    if user is None:
        raise ProblemError(Problem.TOKEN_INVALID)
    return user
