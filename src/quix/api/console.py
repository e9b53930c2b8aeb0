"""The web console at `/`: one page, and the files it is made of. It uses the REST API and nothing else."""

from __future__ import annotations

from typing import Any, Final

from litestar import Request, Response, get
from litestar.params import FromPath
from msgspec import Struct

from quix import __version__
from quix.api.assets import Asset, assets
from quix.api.problems import Problem, ProblemError

PAGES: Final = [
    "/",
    "/backends/{path:path}",
    "/alerts",
    "/alerts/{tab:str}",
    "/vpn",
    "/users",
    "/tokens",
    "/audit",
    "/events",
]
"""Where the console's page is found: it reads the rest from the address itself (console/src/app.tsx)."""

_POLICY: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
}

SECURITY_HEADERS: Final = {
    "content-security-policy": "; ".join(f"{name} {sources}" for name, sources in _POLICY.items()),
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}

_FOREVER: Final = "public, max-age=31536000, immutable"
"""Names of files below assets/ hold a digest of what is in them."""

AnyRequest = Request[Any, Any, Any]


class Welcome(Struct):
    """What programs are told at the root: where to go on."""

    name: str
    version: str
    openapi: str


@get(PAGES, include_in_schema=False)
async def page(request: AnyRequest) -> Response[bytes] | Response[Welcome]:
    """Return the console to browsers; to programs at `/`, where the description of REST is."""
    if request.url.path == "/" and "text/html" not in request.headers.get("accept", ""):
        welcome = Welcome("quix", __version__, "/api/v1/openapi.json")
        return Response(welcome, media_type="application/json", headers={"vary": "accept"})
    return _answer(request, _asset("index.html"), {"vary": "accept, accept-encoding"})


@get("/assets/{name:str}", include_in_schema=False)
async def asset(request: AnyRequest, name: FromPath[str]) -> Response[bytes]:
    """Return a file that the page refers to; its name changes with what is in it."""
    headers = {"vary": "accept-encoding", "cache-control": _FOREVER}
    return _answer(request, _asset(f"assets/{name}"), headers)


def _asset(name: str) -> Asset:
    """Return a file of the console. Raises ProblemError(NOT_FOUND)."""
    if not assets():
        raise ProblemError(Problem.NOT_FOUND, "The console is not built here; `make` or `pip install` builds it.")
    found = assets().get(name)
    if found is None:
        raise ProblemError(Problem.NOT_FOUND)
    return found


def _answer(request: AnyRequest, found: Asset, headers: dict[str, str]) -> Response[bytes]:
    encoding, body = found.body(request.headers.get("accept-encoding", ""))
    headers = {**SECURITY_HEADERS, **headers}
    if encoding != "identity":
        headers["content-encoding"] = encoding
    return Response(body, media_type=found.content_type, headers=headers)
