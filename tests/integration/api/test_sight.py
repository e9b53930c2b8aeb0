"""Users and tokens that are limited to some backends: what they do not see is not there, on every route."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from litestar.routes import HTTPRoute

from harness.api import API, LOGINS, Place, problem
from harness.events import watching
from harness.server import PASSWORD
from harness.store import add_run
from quix.api.app import create
from quix.server.events import Kind
from quix.store.backends import Change
from quix.store.users import Role

NORTH = {"site": "north"}

NOT_OF_BACKENDS = {
    f"{API}/openapi.json", f"{API}/login", f"{API}/login/browser", f"{API}/logout",
    f"{API}/me", f"{API}/server",
    f"{API}/me/password", f"{API}/tokens/{{id:str}}", f"{API}/sessions", f"{API}/sessions/{{id:str}}",
}  # fmt: skip
"""Routes that show and change nothing of a backend."""

LISTS = {
    f"{API}/backends",
    f"{API}/vpn",
    f"{API}/audit",
    f"{API}/audit/export",
    f"{API}/events",
    f"{API}/tokens",
    f"{API}/metrics",
    f"{API}/alerts",
    f"{API}/alerts/rules",
    f"{API}/alerts/rules/{{id:str}}",
    f"{API}/alerts/silences",
    f"{API}/alerts/silences/{{id:str}}",
}
"""Routes that are about several, each with a test below, or in alerts/test_alerts.py."""

WHOLE = {
    f"{API}/users",
    f"{API}/users/{{name:str}}",
    f"{API}/vpn/peers",
    f"{API}/alerts/channels",
    f"{API}/alerts/channels/{{id:str}}",
    f"{API}/alerts/channels/{{id:str}}/test",
    f"{API}/enrolments",
    f"{API}/enrolments/{{id:str}}",
}
"""Routes that nobody who is limited may use."""


def filled(path: str) -> str:
    """Put something in each place of a path that is left."""
    return re.sub(r"\{\w+:int\}", "1", path).replace("{change:str}", "up")


def machine(_req: str, _msg: Any) -> Any:
    return {"result": "success", "proc_id": 7}


def routes(there: Place) -> set[tuple[str, str]]:
    found = [route for route in create(there.control).routes if isinstance(route, HTTPRoute)]
    return {(method, route.path) for route in found for method in route.methods if method != "OPTIONS"}


async def limited(there: Place, role: Role, how: str) -> httpx.AsyncClient:
    """A client of somebody who sees the north alone: a user, or the token of one who sees all."""
    if how == "user":
        await there.control.store.users.set_labels(LOGINS[role], NORTH)
        return await there.login(role)
    body = {"name": "north", "role": role.value, "labels": NORTH}
    token = (await (await there.login(role)).post("/tokens", json=body)).json()["token"]
    return await there.bearer(token)


async def add_admin(there: Place) -> None:
    """One who sees all has to stay."""
    await there.control.accounts.add_user("chief", Role.ADMIN, PASSWORD)


async def backend(there: Place, site: str) -> str:
    store = there.control.store
    made = await store.backends.create("gate", "192.0.2.1")
    await store.backends.change(made.id, Change(name=site, labels={"site": site}))
    return made.id


async def test_every_route_is_of_one_of_these_sorts(there: Place) -> None:
    paths = {path for _, path in routes(there) if "{backend_id:str}" not in path}
    # What is not of the API is the console's files, the same for all.
    assert {path for path in paths if path.startswith(API)} == NOT_OF_BACKENDS | LISTS | WHOLE


@pytest.mark.parametrize("how", ["user", "token"])
async def test_what_is_not_seen_is_not_there(there: Place, how: str) -> None:
    await add_admin(there)
    client = await limited(there, Role.ADMIN, how)
    ids = {site: await backend(there, site) for site in ("north", "south")}
    run = {site: (await add_run(there.control.store, each)).id for site, each in ids.items()}
    unseen = {"south", ids["south"]}
    # What removes the one that is seen comes last.
    of_backends = sorted((path, method) for method, path in routes(there) if "{backend_id:str}" in path)
    assert len(of_backends) > 18
    for name in unseen:
        for path, method in of_backends:
            url = path.replace("{backend_id:str}", name).replace("{run_id:str}", run["south"])
            answer = await client.request(method, there.url + filled(url))
            assert problem(answer) == (404, "backend_unknown"), (method, path)
    for path, method in sorted(of_backends, key=lambda item: item[1] == "DELETE" and not item[0].endswith("vpn")):
        url = path.replace("{backend_id:str}", "north").replace("{run_id:str}", run["north"])
        answer = await client.request(method, there.url + filled(url))
        assert answer.status_code != 403, (method, path)
        assert answer.status_code < 400 or problem(answer)[1] != "backend_unknown", (method, path)
    assert await there.control.store.backends.get(ids["south"]) is not None


@pytest.mark.parametrize("how", ["user", "token"])
async def test_lists_hold_what_is_seen(there: Place, how: str) -> None:
    await add_admin(there)
    client = await limited(there, Role.ADMIN, how)
    chief = await there.bearer(
        (await there.web.post(f"{API}/login", json={"username": "chief", "password": PASSWORD})).json()["token"]
    )
    ids = {site: await backend(there, site) for site in ("north", "south")}
    for each in ids.values():
        await chief.post(f"/backends/{each}/vpn", json={"conf_type": "wireguard"})
    await there.control.audit.flush()

    async def listed(path: str, key: str, **params: str) -> list[str]:
        items = (await client.get(path, params=params)).json()["items"]
        return [item[key] for item in items]

    assert await listed("/backends", "id") == [ids["north"]]
    assert await listed("/backends", "id", label="site=south") == []
    assert await listed("/backends", "id", search="s", sort="name") == []
    assert await listed("/vpn", "backend_id") == [ids["north"]]
    assert await listed("/audit", "backend_id") == [ids["north"]]
    assert await listed("/audit", "backend_id", backend=ids["south"]) == []
    exported = (await client.get("/audit/export")).text.splitlines()
    assert len(exported) == 1


@pytest.mark.parametrize("how", ["user", "token"])
async def test_who_is_limited_does_nothing_that_is_about_all(there: Place, how: str) -> None:
    await add_admin(there)
    client = await limited(there, Role.ADMIN, how)
    for method, path in (
        ("GET", "/users"), ("POST", "/users"), ("PATCH", "/users/op"), ("DELETE", "/users/op"), ("GET", "/vpn/peers"),
        ("POST", "/backends"), ("POST", "/alerts/rules"), ("PATCH", "/alerts/rules/x"), ("DELETE", "/alerts/rules/x"),
        ("GET", "/alerts/channels"), ("POST", "/alerts/channels"), ("PATCH", "/alerts/channels/x"),
        ("DELETE", "/alerts/channels/x"), ("POST", "/alerts/channels/x/test"),
    ):  # fmt: skip
        answer = await client.request(method, path)
        assert problem(answer) == (403, "permission_denied")
        assert "limited to some backends" in answer.json()["detail"]


@pytest.mark.parametrize("how", ["user", "token"])
async def test_events_are_of_what_is_seen(there: Place, how: str) -> None:
    await add_admin(there)
    client = await limited(there, Role.ADMIN, how)
    ids = {site: await backend(there, site) for site in ("north", "south")}
    hub = there.control.events
    async with watching(client) as watch:
        for each in ("south", "north"):
            hub.publish(Kind.RUN_STARTED, ids[each])
            hub.publish(Kind.USER_ADDED, name="ada")
            hub.publish(Kind.BACKEND_REMOVED, f"gone-{each}", {"site": each})
        hub.publish(Kind.RUN_STARTED, "nowhere")
        hub.publish(Kind.RUN_ENDED, ids["north"])
        seen = [(event["kind"], event["backend_id"]) for event in await watch.until("run_ended")]
    assert seen == [
        ("run_started", ids["north"]),
        ("backend_removed", "gone-north"),
        ("run_ended", ids["north"]),
    ]
    assert problem(await client.get("/events", params={"backend": "south"})) == (404, "backend_unknown")


async def test_a_removal_is_told_to_those_who_saw_it(there: Place) -> None:
    admin = await there.login(Role.ADMIN)
    viewer = await limited(there, Role.VIEWER, "user")
    await backend(there, "south")
    await backend(there, "north")
    async with watching(viewer) as watch:
        for site in ("south", "north"):
            assert (await admin.delete(f"/backends/{site}")).status_code == 204
        assert (await watch.next())["data"] == {"name": "north"}


async def test_a_label_that_is_given_lets_a_backend_be_seen(there: Place) -> None:
    operator, viewer = await there.login(Role.OPERATOR), await limited(there, Role.VIEWER, "user")
    async with there.agent(machine, "web-1") as agent:
        assert (await viewer.get("/backends/web-1")).status_code == 200, "its agent says that it is in the north"
        await operator.patch(f"/backends/{agent.id}", json={"labels": {"site": "south"}})
        assert problem(await viewer.get("/backends/web-1")) == (404, "backend_unknown")
        await there.control.store.users.set_labels("watch", {})
        assert (await viewer.get("/backends/web-1")).status_code == 200


async def test_nobody_moves_a_backend_over_his_own_border(there: Place) -> None:
    operator = await limited(there, Role.OPERATOR, "user")
    its_id = await backend(there, "north")
    for change in ({"site": "south"}, {"site": None}):
        answer = await operator.patch(f"/backends/{its_id}", json={"labels": change})
        assert problem(answer) == (403, "permission_denied")
    assert (await operator.patch(f"/backends/{its_id}", json={"labels": {"tier": "1"}})).status_code == 200


async def test_a_token_for_some_backends(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    north, south = await backend(there, "north"), await backend(there, "south")
    body = {"name": "ci", "role": "viewer", "backends": ["north", north]}
    made = (await operator.post("/tokens", json=body)).json()
    assert made["backends"] == [north]
    client = await there.bearer(made["token"])
    assert [each["id"] for each in (await client.get("/backends")).json()["items"]] == [north]
    assert problem(await client.get(f"/backends/{south}")) == (404, "backend_unknown")
    assert (await client.get("/me")).json()["backends"] == [north]


async def test_the_limits_of_user_and_token_hold_together(there: Place) -> None:
    operator = await limited(there, Role.OPERATOR, "user")
    for site in ("north", "south"):
        await backend(there, site)
    refused = await operator.post("/tokens", json={"name": "a", "role": "viewer", "backends": ["south"]})
    assert problem(refused) == (404, "backend_unknown")
    for name, labels, expected in (("b", {"site": "south"}, []), ("c", {}, ["north"]), ("d", {"tier": "1"}, [])):
        made = (await operator.post("/tokens", json={"name": name, "role": "viewer", "labels": labels})).json()
        client = await there.bearer(made["token"])
        assert [each["name"] for each in (await client.get("/backends")).json()["items"]] == expected


async def test_a_user_is_limited_over_rest(there: Place) -> None:
    admin = await there.login(Role.ADMIN)
    new = {"name": "ada", "role": "viewer", "password": "a good long password", "labels": NORTH}
    assert (await admin.post("/users", json=new)).json()["labels"] == NORTH
    assert (await admin.patch("/users/ada", json={"labels": {}})).json()["labels"] == {}
    assert problem(await admin.patch("/users/ada", json={"labels": {}, "role": "admin"})) == (400, "request_invalid")
    assert problem(await admin.patch("/users/root", json={"labels": NORTH})) == (409, "last_admin")
    assert (await admin.patch("/users/op", json={"labels": NORTH})).json()["labels"] == NORTH
