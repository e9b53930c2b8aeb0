"""Every route with every caller. A route that is missing in `ROUTES` fails the first test."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from litestar.routes import HTTPRoute

from harness.api import API, Place, problem
from quix.api.app import create
from quix.api.console import PAGES
from quix.store.users import Role

EVERYBODY, READERS, OPERATORS, ADMINS = "everybody", "readers", "operators", "admins"

B = f"{API}/backends/{{backend_id:str}}"

ROUTES: dict[tuple[str, str], str] = {
    ("GET", "/"): EVERYBODY,
    ("GET", "/healthz"): EVERYBODY,
    ("GET", "/metrics"): EVERYBODY,
    ("GET", f"{API}/openapi.json"): EVERYBODY,
    ("POST", f"{API}/login"): EVERYBODY,
    ("POST", f"{API}/login/browser"): EVERYBODY,
    ("GET", "/assets/{name:str}"): EVERYBODY,
    **{("GET", page): EVERYBODY for page in PAGES},
    ("GET", f"{API}/server"): READERS,
    ("POST", f"{API}/logout"): READERS,
    ("GET", f"{API}/me"): READERS,
    ("GET", f"{API}/backends"): READERS,
    ("POST", f"{API}/backends"): OPERATORS,
    ("GET", B): READERS,
    ("PATCH", B): OPERATORS,
    ("POST", f"{B}/revoke"): ADMINS,
    ("DELETE", B): ADMINS,
    ("GET", f"{B}/processes"): READERS,
    ("POST", f"{B}/processes"): OPERATORS,
    ("POST", f"{B}/processes/{{pid:int}}/signal"): OPERATORS,
    ("GET", f"{B}/runs"): READERS,
    ("GET", f"{B}/runs/{{run_id:str}}"): READERS,
    ("GET", f"{B}/runs/{{run_id:str}}/output"): READERS,
    ("GET", f"{B}/runs/{{run_id:str}}/output/events"): READERS,
    ("POST", f"{B}/runs/{{run_id:str}}/input"): OPERATORS,
    ("POST", f"{B}/runs/{{run_id:str}}/terminal"): OPERATORS,
    ("POST", f"{B}/runs/{{run_id:str}}/signal"): OPERATORS,
    ("GET", f"{B}/telemetry"): READERS,
    ("GET", f"{B}/telemetry/history"): READERS,
    ("GET", f"{B}/vpn"): READERS,
    ("POST", f"{B}/vpn"): OPERATORS,
    ("POST", f"{B}/vpn/restore"): OPERATORS,
    ("DELETE", f"{B}/vpn"): OPERATORS,
    ("POST", f"{B}/vpn/{{change:str}}"): OPERATORS,
    ("GET", f"{API}/vpn"): READERS,
    ("GET", f"{API}/vpn/peers"): OPERATORS,
    ("POST", f"{API}/me/password"): READERS,
    ("GET", f"{API}/tokens"): READERS,
    ("POST", f"{API}/tokens"): READERS,
    ("DELETE", f"{API}/tokens/{{id:str}}"): READERS,
    ("GET", f"{API}/sessions"): READERS,
    ("DELETE", f"{API}/sessions/{{id:str}}"): READERS,
    ("GET", f"{API}/events"): READERS,
    ("GET", f"{API}/metrics"): READERS,
    ("GET", f"{API}/alerts"): READERS,
    ("GET", f"{API}/alerts/silences"): READERS,
    ("POST", f"{API}/alerts/silences"): OPERATORS,
    ("DELETE", f"{API}/alerts/silences/{{id:str}}"): OPERATORS,
    ("GET", f"{API}/alerts/rules"): READERS,
    ("GET", f"{API}/alerts/rules/{{id:str}}"): READERS,
    ("POST", f"{API}/alerts/rules"): ADMINS,
    ("PATCH", f"{API}/alerts/rules/{{id:str}}"): ADMINS,
    ("DELETE", f"{API}/alerts/rules/{{id:str}}"): ADMINS,
    ("GET", f"{API}/alerts/channels"): ADMINS,
    ("POST", f"{API}/alerts/channels"): ADMINS,
    ("PATCH", f"{API}/alerts/channels/{{id:str}}"): ADMINS,
    ("DELETE", f"{API}/alerts/channels/{{id:str}}"): ADMINS,
    ("POST", f"{API}/alerts/channels/{{id:str}}/test"): ADMINS,
    ("GET", f"{API}/audit"): ADMINS,
    ("GET", f"{API}/audit/export"): ADMINS,
    ("GET", f"{API}/enrolments"): ADMINS,
    ("POST", f"{API}/enrolments"): ADMINS,
    ("DELETE", f"{API}/enrolments/{{id:str}}"): ADMINS,
    ("GET", f"{API}/users"): ADMINS,
    ("POST", f"{API}/users"): ADMINS,
    ("PATCH", f"{API}/users/{{name:str}}"): ADMINS,
    ("DELETE", f"{API}/users/{{name:str}}"): ADMINS,
}

ALLOWED: dict[str, set[str]] = {
    EVERYBODY: {Role.ADMIN, Role.OPERATOR, Role.VIEWER, "enroller", "backend", "garbage", "nobody"},
    READERS: {Role.ADMIN, Role.OPERATOR, Role.VIEWER},
    OPERATORS: {Role.ADMIN, Role.OPERATOR},
    ADMINS: {Role.ADMIN},
}


def routes(there: Place) -> set[tuple[str, str]]:
    app = create(there.control)
    found = [route for route in app.routes if isinstance(route, HTTPRoute)]
    assert len(found) == len(app.routes), "a route that is no HTTP route needs a test of its own"
    return {(method, route.path) for route in found for method in route.methods if method != "OPTIONS"}


async def test_every_route_is_in_the_table(there: Place) -> None:
    assert routes(there) == set(ROUTES)


async def client_of(there: Place, caller: str) -> httpx.AsyncClient:
    if caller in {Role.ADMIN, Role.OPERATOR, Role.VIEWER}:
        return await there.login(Role(caller))
    if caller == "enroller":
        # A user who was demoted while logged in; a login as an enroller is refused (test_login.py).
        client = await there.login(Role.OPERATOR)
        await there.control.store.users.set_role("op", Role.ENROLLER)
        return client
    if caller == "backend":
        async with there.agent(lambda _req, _msg: None) as agent:
            return await there.bearer(agent.token)
    return await there.bearer("A" * 43) if caller == "garbage" else there.web


@pytest.mark.parametrize("caller", sorted(ALLOWED[EVERYBODY]))
async def test_a_caller_may_do_what_the_role_says_and_nothing_else(there: Place, caller: str) -> None:
    client = await client_of(there, caller)
    seen: dict[tuple[str, str], Any] = {}
    expected: dict[tuple[str, str], Any] = {}
    # Logging out comes last: it ends what the other requests are made with.
    for (method, path), who in sorted(ROUTES.items(), key=lambda item: item[0][1].endswith("logout")):
        url = there.url + path.format_map(_Fill())
        # A stream of events has no end; its status says enough.
        async with client.stream(method, url) as answer:
            if is_refused := answer.status_code in {401, 403}:
                await answer.aread()
        seen[method, path] = problem(answer) if is_refused else "allowed"
        expected[method, path] = "allowed" if caller in ALLOWED[who] else _refusal(caller)
    assert seen == expected


class _Fill(dict[str, Any]):
    def __missing__(self, _name: str) -> _Value:
        return _Value()


class _Value:
    """Something that is there for no parameter, and of the right type for each."""

    def __format__(self, kind: str) -> str:
        return {"str": "none", "int": "1", "path": "none"}[kind]


def _refusal(caller: str) -> tuple[int, str]:
    if caller in {Role.OPERATOR, Role.VIEWER}:
        return 403, "permission_denied"
    return (401, "not_authenticated") if caller == "nobody" else (401, "token_invalid")


async def test_a_role_that_is_taken_away_is_gone_with_the_next_request(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    assert problem(await operator.delete("/backends/none/vpn")) == (404, "backend_unknown")
    await there.control.store.users.set_role("op", Role.VIEWER)
    assert problem(await operator.delete("/backends/none/vpn")) == (403, "permission_denied")
