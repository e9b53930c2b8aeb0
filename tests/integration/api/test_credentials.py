"""Personal tokens, logins, and the own password."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest

from harness.api import API, LOGINS, Place, problem
from harness.events import watching
from harness.server import PASSWORD
from quix.api import events
from quix.server.events import Kind
from quix.store.users import Role

NEXT = "another good password"


def machine(_req: str, _msg: Any) -> Any:
    return {"result": "success", "proc_id": 7}


async def made(client: httpx.AsyncClient, name: str = "ci", role: str = "viewer", **scope: Any) -> dict[str, Any]:
    answer = await client.post("/tokens", json={"name": name, "role": role, **scope})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


# -- personal tokens ------------------------------------------------------------------------------


async def test_a_token_stands_for_its_user(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    token = await made(operator, role="operator", validity=60)
    client = await there.bearer(token["token"])
    assert (await client.get("/me")).json() == {"username": "op", "role": "operator", "labels": [], "backends": None}
    async with there.agent(machine, "web-1"):
        assert (await client.post("/backends/web-1/processes", json={"cmd": ["true"]})).status_code == 201
    (listed,) = (await operator.get("/tokens")).json()["items"]
    assert "token" not in listed
    assert (listed["name"], listed["user"], listed["role"], listed["backends"]) == ("ci", "op", "operator", None)
    assert 59 < listed["expires_at"] - listed["created_at"] < 61


async def test_what_is_done_with_a_token_says_so_in_the_audit(there: Place) -> None:
    token = await made(await there.login(Role.OPERATOR), role="operator")
    client = await there.bearer(token["token"])
    async with there.agent(machine, "web-1"):
        await client.post("/backends/web-1/processes/7/signal", json={"mode": "SIGTERM"})
    await there.control.audit.flush()
    admin = await there.login(Role.ADMIN)
    (row,) = (await admin.get("/audit", params={"action": "signal"})).json()["items"]
    assert (row["user"], row["detail"]["token"]) == ("op", token["id"])
    (row,) = (await admin.get("/audit", params={"action": "token_added"})).json()["items"]
    assert (row["user"], row["target"], row["detail"]["role"]) == ("op", token["id"], "operator")
    assert token["token"] not in str(row)


async def test_a_token_may_do_no_more_than_it_says_nor_than_its_user(there: Place) -> None:
    admin = await there.login(Role.ADMIN)
    operator = await there.login(Role.OPERATOR)
    less = await there.bearer((await made(operator, "less", "viewer"))["token"])
    same = await there.bearer((await made(operator, "same", "operator"))["token"])
    assert problem(await less.delete("/backends/none/vpn")) == (403, "permission_denied")
    assert problem(await same.delete("/backends/none/vpn")) == (404, "backend_unknown")
    refused = await operator.post("/tokens", json={"name": "more", "role": "admin"})
    assert problem(refused) == (403, "permission_denied")
    await admin.patch("/users/op", json={"role": "viewer"})
    assert problem(await same.delete("/backends/none/vpn")) == (403, "permission_denied")
    await admin.patch("/users/op", json={"role": "enroller"})
    assert problem(await same.get("/me")) == (401, "token_invalid")


async def test_a_token_makes_no_other_and_ends_none(there: Place) -> None:
    admin = await there.login(Role.ADMIN)
    token = await made(admin, role="admin")
    client = await there.bearer(token["token"])
    assert (await client.get("/users")).status_code == 200
    for method, path in (
        ("GET", "/tokens"), ("POST", "/tokens"), ("DELETE", f"/tokens/{token['id']}"), ("GET", "/sessions"),
        ("DELETE", "/sessions/none"), ("POST", "/me/password"), ("POST", "/logout"),
        ("POST", "/users"), ("PATCH", "/users/root"), ("DELETE", "/users/op"),
    ):  # fmt: skip
        answer = await client.request(method, path, json=None if method in ("GET", "DELETE") else {})
        assert problem(answer) == (403, "permission_denied"), path
        assert "log in with a password" in answer.json()["detail"]


async def test_a_token_ends(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    one, two = await made(operator, "one"), await made(operator, "two")
    first, second = await there.bearer(one["token"]), await there.bearer(two["token"])
    assert (await operator.delete(f"/tokens/{one['id']}")).status_code == 204
    assert problem(await operator.delete(f"/tokens/{one['id']}")) == (404, "token_unknown")
    assert problem(await first.get("/me")) == (401, "token_invalid")
    assert (await second.get("/me")).status_code == 200
    assert [each["name"] for each in (await operator.get("/tokens")).json()["items"]] == ["two"]


async def test_a_token_expires(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    client = await there.bearer((await made(operator, validity=1))["token"])
    async with asyncio.timeout(10):
        while (await client.get("/me")).status_code != 401:
            await asyncio.sleep(0.05)
    assert (await operator.get("/tokens")).json()["items"] == []
    assert (await made(operator))["name"] == "ci", "the name is free again"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"name": ""}, (400, "name")),
        ({"name": "a b"}, (400, "name")),
        ({"role": "enroller"}, (400, "role")),
        ({"role": "king"}, (400, "role")),
        ({"validity": 0}, (400, "validity")),
        ({"validity": 10**10}, (400, "validity")),
        ({"labels": {"": "x"}}, (400, "labels")),
        ({"backends": []}, (400, "backends")),
        ({"backends": ["nowhere"]}, (404, "")),
        ({"name": "taken"}, (409, "taken")),
    ],
)
async def test_what_a_token_cannot_be(there: Place, body: dict[str, Any], expected: tuple[int, str]) -> None:
    operator = await there.login(Role.OPERATOR)
    await made(operator, "taken")
    answer = await operator.post("/tokens", json={"name": "ci", "role": "viewer", **body})
    assert problem(answer)[0] == expected[0]
    assert expected[1] in answer.json()["detail"]
    assert len((await operator.get("/tokens")).json()["items"]) == 1


async def test_tokens_are_their_users_and_admins_business(there: Place) -> None:
    operator, viewer = await there.login(Role.OPERATOR), await there.login(Role.VIEWER)
    admin = await there.login(Role.ADMIN)
    token = await made(operator)
    assert problem(await viewer.get("/tokens?user=op")) == (403, "permission_denied")
    assert problem(await viewer.delete(f"/tokens/{token['id']}")) == (404, "token_unknown")
    assert [each["id"] for each in (await admin.get("/tokens?user=op")).json()["items"]] == [token["id"]]
    assert (await admin.get("/tokens")).json()["items"] == []
    assert (await admin.delete(f"/tokens/{token['id']}")).status_code == 204


async def test_a_password_that_an_admin_sets_ends_tokens_too(there: Place) -> None:
    admin, operator = await there.login(Role.ADMIN), await there.login(Role.OPERATOR)
    client = await there.bearer((await made(operator))["token"])
    await admin.patch("/users/op", json={"password": NEXT})
    assert problem(await client.get("/me")) == (401, "token_invalid")
    removed = await there.bearer((await made(await there.login(Role.VIEWER)))["token"])
    await admin.delete("/users/watch")
    assert problem(await removed.get("/me")) == (401, "token_invalid")


async def test_when_a_token_was_used_is_written_down(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    client = await there.bearer((await made(operator))["token"])
    assert (await operator.get("/tokens")).json()["items"][0]["used_at"] is None
    await client.get("/me")
    await there.control.store.credentials.flush()
    used = (await operator.get("/tokens")).json()["items"][0]["used_at"]
    assert abs(used - time.time()) < 60


async def test_a_stream_of_events_ends_with_its_token(there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_CHECK", 0.05)
    operator = await there.login(Role.OPERATOR)
    token = await made(operator)
    async with watching(await there.bearer(token["token"])) as watch:
        there.control.events.publish(Kind.RUN_ENDED, "b1")
        assert (await watch.next())["kind"] == "run_ended"
        await operator.delete(f"/tokens/{token['id']}")
        await watch.ended()


# -- logins ---------------------------------------------------------------------------------------


async def test_logins_are_listed_with_where_they_are_from(there: Place) -> None:
    body = {"username": "op", "password": PASSWORD}
    other = await there.web.post(f"{API}/login", json=body, headers={"User-Agent": "lynx" * 100})
    operator = await there.login(Role.OPERATOR)
    await there.control.store.credentials.flush()
    first, second = (await operator.get("/sessions")).json()["items"]
    assert (first["user_agent"], first["address"], first["is_this"]) == (("lynx" * 100)[:200], "127.0.0.1", False)
    assert (second["user"], second["is_this"], second["user_agent"].startswith("python-httpx")) == ("op", True, True)
    assert first["used_at"] is None
    assert second["expires_at"] - second["created_at"] == 12 * 3600
    assert (await operator.delete(f"/sessions/{first['id']}")).status_code == 204
    assert problem(await operator.delete(f"/sessions/{first['id']}")) == (404, "session_unknown")
    assert problem(await (await there.bearer(other.json()["token"])).get("/me")) == (401, "token_invalid")
    assert (await operator.delete(f"/sessions/{second['id']}")).status_code == 204
    assert problem(await operator.get("/me")) == (401, "token_invalid")


async def test_logins_are_their_users_and_admins_business(there: Place) -> None:
    operator, admin, viewer = [await there.login(role) for role in (Role.OPERATOR, Role.ADMIN, Role.VIEWER)]
    (login,) = (await admin.get("/sessions?user=op")).json()["items"]
    assert problem(await viewer.get("/sessions?user=op")) == (403, "permission_denied")
    assert problem(await viewer.delete(f"/sessions/{login['id']}")) == (404, "session_unknown")
    assert (await operator.get("/me")).status_code == 200
    assert (await admin.delete(f"/sessions/{login['id']}")).status_code == 204
    assert problem(await operator.get("/me")) == (401, "token_invalid")


# -- the own password -----------------------------------------------------------------------------


async def test_the_own_password(there: Place) -> None:
    one, two = await there.login(Role.VIEWER), await there.login(Role.VIEWER)
    token = await there.bearer((await made(one))["token"])
    assert (await one.post("/me/password", json={"old": PASSWORD, "new": NEXT})).status_code == 204
    assert (await one.get("/me")).status_code == 200
    assert problem(await two.get("/me")) == (401, "token_invalid")
    assert (await token.get("/me")).status_code == 200
    login = {"username": LOGINS[Role.VIEWER], "password": PASSWORD}
    assert problem(await there.web.post(f"{API}/login", json=login)) == (401, "password_invalid")
    assert (await there.web.post(f"{API}/login", json={**login, "password": NEXT})).status_code == 200


async def test_who_does_not_know_the_password_changes_none_and_is_slowed_down(there: Place) -> None:
    viewer = await there.login(Role.VIEWER)
    assert problem(await viewer.post("/me/password", json={"old": PASSWORD, "new": "short"})) == (
        400,
        "request_invalid",
    )
    body = {"old": "wrong password", "new": NEXT}
    answers = [problem(await viewer.post("/me/password", json=body)) for _ in range(7)]
    assert answers == [(401, "password_invalid")] * 6 + [(429, "rate_limited")]
    assert (await viewer.get("/me")).status_code == 200
