"""From exceptions to answers: whatever a handler raises ends as `{"reason", "detail"}`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi import ResponseSpec
from msgspec import Struct

from quix import logs
from quix.api.problems import Problem, ProblemError, problem_named
from quix.exits import Exit, QuixError
from quix.link.outcomes import AskError, RefusedError
from quix.store.errors import AlreadyExistsError, LastAdminError
from quix.wire.reasons import Refusal

log = logs.get(__name__)

AnyRequest = Request[Any, Any, Any]

_CLIENT_LEFT: Final = "client disconnected prematurely"


class Error(Struct):
    """Why a request failed: `reason` for programs, `detail` for people."""

    reason: str
    detail: str


def raises(*problems: Problem) -> dict[int, ResponseSpec]:
    """Describe, for a handler's `responses`, the problems it may end in, beside those that every handler has."""
    every = sorted({*problems, Problem.INTERNAL_ERROR, Problem.UNAVAILABLE}, key=list(Problem).index)
    by_status: dict[int, list[str]] = {}
    for problem in every:
        by_status.setdefault(problem.status, []).append(f"`{problem}`: {problem.sentence}")
    return {
        status: ResponseSpec(Error, generate_examples=False, description="\n\n".join(lines))
        for status, lines in by_status.items()
    }


def answer(
    problem: Problem, detail: str, reason: str = "", headers: Mapping[str, str] | None = None
) -> Response[Error]:
    """Build the answer of a problem; `reason` replaces the problem's own where a backend gave one."""
    headers = dict(headers or {})
    if problem.status == 401:
        # RFC 9110 section 15.5.2: a 401 always says how to authenticate; RFC 6750 section 3 says how for bearers.
        error = ', error="invalid_token"' if problem is Problem.TOKEN_INVALID else ""
        headers["WWW-Authenticate"] = f'Bearer realm="quix"{error}'
    content = Error(reason or problem.value, detail)
    return Response(content, status_code=problem.status, headers=headers, media_type="application/json")


def _on_problem(_request: AnyRequest, error: ProblemError) -> Response[Error]:
    return answer(error.problem, error.detail)


def _on_refusal(_request: AnyRequest, error: Refusal) -> Response[Error]:
    return answer(problem_named(error.reason), error.detail, error.reason)


def _on_outcome(_request: AnyRequest, error: AskError) -> Response[Error]:
    # A backend chooses the reason of its refusal, and must not choose the status with it.
    problem = Problem.REFUSED if isinstance(error, RefusedError) else problem_named(error.reason)
    return answer(problem, error.detail, error.reason)


def _on_quix_error(request: AnyRequest, error: QuixError) -> Response[Error]:
    if isinstance(error, AlreadyExistsError):
        return answer(Problem.ALREADY_EXISTS, str(error))
    if isinstance(error, LastAdminError):
        return answer(Problem.LAST_ADMIN, str(error))
    if error.code is Exit.DATA:
        return answer(Problem.REQUEST_INVALID, str(error))
    return _on_fault(request, error)


def _on_http_exception(request: AnyRequest, error: HTTPException) -> Response[Error]:
    if isinstance(error, ValidationException):
        return answer(Problem.REQUEST_INVALID, _fields(request, error))
    if error.status_code == 413:
        # No "Connection: close": closing a socket that has unread bytes resets it, and the answer with it.
        return answer(Problem.BODY_TOO_LARGE, Problem.BODY_TOO_LARGE.sentence)
    if error.status_code == 404:
        return answer(Problem.NOT_FOUND, Problem.NOT_FOUND.sentence)
    if error.status_code == 405:
        return answer(Problem.METHOD_NOT_ALLOWED, Problem.METHOD_NOT_ALLOWED.sentence, headers=error.headers)
    # Litestar counts a client that leaves in the middle of its body among its own faults.
    if error.status_code < 500 or error.detail == _CLIENT_LEFT:
        return answer(Problem.REQUEST_INVALID, f"body: {error.detail}")
    return _on_fault(request, error)


def _fields(request: AnyRequest, error: ValidationException) -> str:
    """Name each field that would not do, and say what is wrong with it."""
    found = error.extra if isinstance(error.extra, list) else []
    return "; ".join(_field(request, item) for item in found) or f"body: {error.detail}"


def _field(request: AnyRequest, item: Any) -> str:
    key, message = item.get("key", "data"), item["message"]
    if key != "data":
        return f"{_sent_name(request, key)}: {message}"
    # Litestar calls the body `data`, and says no more than that where there is none.
    return "body: a JSON object is needed" if message == "'data'" else f"body: {message}"


def _sent_name(request: AnyRequest, key: str) -> str:
    """Return what whoever asked calls a parameter that is called `key` in our code."""
    parameter = request.route_handler.parsed_fn_signature.parameters.get(key)
    name = None if parameter is None else getattr(parameter.kwarg_definition, "name", None)
    return name or key


def _on_recursion(_request: AnyRequest, _error: RecursionError) -> Response[Error]:
    return answer(Problem.REQUEST_INVALID, "body: it is nested too deeply")


def _on_fault(request: AnyRequest, error: Exception) -> Response[Error]:
    log.error("request failed", method=request.method, path=request.url.path, exc_info=error)
    return answer(Problem.INTERNAL_ERROR, Problem.INTERNAL_ERROR.sentence)


HANDLERS: dict[int | type[Exception], Callable[[AnyRequest, Any], Response[Error]]] = {
    ProblemError: _on_problem,
    Refusal: _on_refusal,
    AskError: _on_outcome,
    QuixError: _on_quix_error,
    HTTPException: _on_http_exception,
    RecursionError: _on_recursion,
    Exception: _on_fault,
}
"""For Litestar: the most specific class that fits an exception decides."""
