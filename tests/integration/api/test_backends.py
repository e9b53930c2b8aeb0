"""What operators see of backends, and removing one."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest

from harness.api import Place, facts, problem
from quix.store.backends import Change
from quix.store.users import Role


def silent(_req: str, _msg: object) -> None:
    return None


async def test_a_connected_backend_is_shown_with_what_it_told(there: Place) -> None:
    operator = await there.login(Role.VIEWER)
    before = time.time()
    async with there.agent(silent, "web-1") as agent:
        (row,) = (await operator.get("/backends")).json()["items"]
        assert row == (await operator.get("/backends/web-1")).json() | {"last_seen": row["last_seen"]}
        times = [row.pop(name) for name in ("connected_since", "created_at", "last_seen")]
        assert all(before - 1 <= at <= time.time() for at in times)
        assert row == {
            "id": agent.id,
            "name": "web-1",
            "connected": True,
            "address": "127.0.0.1",
            "enrolled_by": "gate",
            "revoked_at": None,
            "labels": {"site": "north"},
            "given_name": None,
            "given_labels": {},
            "facts": facts("web-1"),
            "extensions": {"agent": 1},
            "load": None,
        }


async def test_a_backend_that_speaks_only_the_seed_is_named_by_its_id(there: Place) -> None:
    operator = await there.login(Role.VIEWER)
    async with there.agent(silent) as agent:
        row = (await operator.get(f"/backends/{agent.id}")).json()
        assert (row["name"], row["facts"], row["extensions"]) == (agent.id, None, {})


async def test_a_backend_that_left_is_still_there(there: Place) -> None:
    operator = await there.login(Role.VIEWER)
    async with there.agent(silent, "web-1") as agent:
        pass
    row = (await operator.get(f"/backends/{agent.id}")).json()
    assert (row["connected"], row["connected_since"], row["extensions"]) == (False, None, {})
    assert row["facts"] == facts("web-1")
    assert time.time() - row["last_seen"] < 60


async def test_a_name_that_two_have_names_neither_but_an_id_does(there: Place) -> None:
    operator = await there.login(Role.VIEWER)
    async with there.agent(silent, "twin") as one, there.agent(silent, "twin") as two:
        for path in ("", "/processes", "/telemetry", "/runs", "/vpn"):
            answer = await operator.get(f"/backends/twin{path}")
            assert problem(answer) == (409, "backend_ambiguous")
            assert one.id in answer.json()["detail"]
            assert two.id in answer.json()["detail"]
        assert (await operator.get(f"/backends/{two.id}")).json()["id"] == two.id


async def test_no_backend_can_take_the_place_of_another_by_taking_its_id_as_a_name(there: Place) -> None:
    operator = await there.login(Role.VIEWER)
    async with there.agent(silent, "web-1") as one, there.agent(silent, one.id) as two:
        assert (await operator.get(f"/backends/{one.id}")).json()["name"] == "web-1"
        assert (await operator.get(f"/backends/{two.id}")).json()["name"] == one.id


async def test_removing_a_backend_ends_its_connection_and_its_token(there: Place) -> None:
    admin = await there.login(Role.ADMIN)
    async with there.agent(silent, "web-1") as agent:
        assert (await admin.delete("/backends/web-1")).status_code == 204
        code, reason = await agent.closed()
        assert (code, reason) == (4002, "this backend has been removed")
        assert problem(await admin.get(f"/backends/{agent.id}")) == (404, "backend_unknown")
        assert problem(await admin.delete(f"/backends/{agent.id}")) == (404, "backend_unknown")
    async with there.seed_client() as client:
        assert await client.resume(agent.token) == {"success": False, "reason": "token_invalid"}


async def test_an_offline_backend_can_be_removed(there: Place) -> None:
    admin = await there.login(Role.ADMIN)
    async with there.agent(silent) as agent:
        pass
    assert (await admin.delete(f"/backends/{agent.id}")).status_code == 204
    assert (await admin.get("/backends")).json() == {"items": [], "next": None}


# -- names and labels -----------------------------------------------------------------------------


async def test_a_name_that_is_given_goes_before_the_agents_own(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    async with there.agent(silent, "web-1") as agent:
        path = f"/backends/{agent.id}"
        row = (await operator.patch(path, json={"name": "front door"})).json()
        assert (row["name"], row["given_name"], row["facts"]["name"]) == ("front door", "front door", "web-1")
        assert (await operator.get("/backends/front door")).json()["id"] == agent.id
        assert problem(await operator.get("/backends/web-1")) == (404, "backend_unknown")
        await agent.client.send("agent_facts", facts("web-2"))
        async with asyncio.timeout(10):
            while (await operator.get(path)).json()["facts"]["name"] != "web-2":
                await asyncio.sleep(0.01)
        assert (await operator.get(path)).json()["name"] == "front door"
        row = (await operator.patch(path, json={"name": None})).json()
        assert (row["name"], row["given_name"]) == ("web-2", None)


async def test_a_name_is_given_to_one(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    async with there.agent(silent, "web-1"), there.agent(silent, "web-2") as two:
        assert problem(await operator.patch(f"/backends/{two.id}", json={"name": "web-1"})) == (409, "already_exists")
        assert (await operator.patch(f"/backends/{two.id}", json={"name": "web-2"})).status_code == 200


async def test_labels_that_are_given_go_before_the_agents_own(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    async with there.agent(silent, "web-1") as agent:
        path = f"/backends/{agent.id}"
        row = (await operator.patch(path, json={"labels": {"site": "south", "tier": "1"}})).json()
        assert row["labels"] == {"site": "south", "tier": "1"}
        assert (row["given_labels"], row["facts"]["labels"]) == ({"site": "south", "tier": "1"}, {"site": "north"})
        row = (await operator.patch(path, json={"labels": {"site": None, "gone": None}})).json()
        assert (row["labels"], row["given_labels"]) == ({"site": "north", "tier": "1"}, {"tier": "1"})
        row = (await operator.patch(path, json={})).json()
        assert row["labels"] == {"site": "north", "tier": "1"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 254}, "name"),
        ({"labels": {"": "x"}}, "labels"),
        ({"labels": {"x": "a\tb"}}, "labels"),
        ({"labels": {"x" * 64: "y"}}, "labels"),
        ({"labels": {"x": "y" * 254}}, "labels"),
        ({"labels": {f"x{n}": "y" for n in range(65)}}, "labels"),
        ({"address": "192.0.2.1"}, "address"),
    ],
)
async def test_what_cannot_be_given(there: Place, body: dict[str, Any], field: str) -> None:
    operator = await there.login(Role.OPERATOR)
    backend = await there.control.store.backends.create("gate", "192.0.2.1")
    answer = await operator.patch(f"/backends/{backend.id}", json=body)
    assert problem(answer) == (400, "request_invalid")
    assert field in answer.json()["detail"]
    assert await there.control.store.backends.get(backend.id) == backend


# -- its end --------------------------------------------------------------------------------------


async def test_a_backend_that_is_revoked_cannot_come_back_and_stays_in_the_list(there: Place) -> None:
    admin = await there.login(Role.ADMIN)
    async with there.agent(silent, "web-1") as agent:
        await admin.post("/backends/web-1/vpn", json={"conf_type": "wireguard"})
        row = (await admin.post("/backends/web-1/revoke")).json()
        assert abs(row["revoked_at"] - time.time()) < 60
        assert await agent.closed() == (4002, "this backend has been revoked")
    async with there.seed_client() as client:
        assert await client.resume(agent.token) == {"success": False, "reason": "token_invalid"}
    again = (await admin.post("/backends/web-1/revoke")).json()
    assert (again["revoked_at"], again["connected"]) == (row["revoked_at"], False)
    assert (await admin.get("/backends/web-1/vpn")).json()["revoked_at"] is not None
    assert (await admin.get("/backends/web-1/runs")).status_code == 200


# -- looking for some -----------------------------------------------------------------------------


async def names(client: httpx.AsyncClient, **params: Any) -> list[str]:
    """The names of all pages of two."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await client.get("/backends", params={"limit": 2, **params, **cursor})
        assert answer.status_code == 200, answer.text
        found += [row["name"] for row in answer.json()["items"]]
        if answer.json()["next"] is None:
            return found
        cursor = {"after": answer.json()["next"]}


async def test_filters_and_orders_over_pages(there: Place) -> None:
    admin = await there.login(Role.ADMIN)
    store = there.control.store
    async with there.agent(silent, "delta"), there.agent(silent, "bravo"), there.agent(silent, "echo"):
        for name, labels in (("alpha", {"site": "south", "tier": "1"}), ("charlie 100%", {"site": "south"})):
            backend = await store.backends.create("gate", f"192.0.2.{len(name)}")
            await store.backends.change(backend.id, Change(name=name, labels={**labels}))
        await admin.post("/backends/charlie 100%/revoke")
        created = ["delta", "bravo", "echo", "alpha", "charlie 100%"]
        for params, expected in (
            ({}, created),
            ({"sort": "-created"}, created[::-1]),
            ({"sort": "name"}, sorted(created)),
            ({"sort": "-name"}, sorted(created)[::-1]),
            ({"label": "site=north"}, created[:3]),
            ({"label": ["site=south", "tier=1"]}, ["alpha"]),
            ({"label": ["site=south", "site=north"]}, []),
            ({"state": "online"}, created[:3]),
            ({"state": "offline"}, ["alpha"]),
            ({"state": "revoked"}, ["charlie 100%"]),
            ({"search": "LPH"}, ["alpha"]),
            ({"search": "0%"}, ["charlie 100%"]),
            ({"search": "192.0.2."}, ["alpha", "charlie 100%"]),
            ({"search": "o", "state": "online", "sort": "-name", "label": "site=north"}, ["echo", "bravo"]),
            ({"search": "nobody"}, []),
        ):
            assert await names(admin, **params) == expected, params
        assert sorted(await names(admin, sort="last_seen")) == sorted(created)
        assert await names(admin, sort="last_seen") == (await names(admin, sort="-last_seen"))[::-1]


@pytest.mark.parametrize(
    "params",
    [{"label": "site"}, {"label": "=x"}, {"state": "lost"}, {"sort": "id"}, {"sort": "last_seen", "after": "x" * 30}],
)
async def test_what_cannot_be_looked_for(there: Place, params: dict[str, str]) -> None:
    viewer = await there.login(Role.VIEWER)
    answer = await viewer.get("/backends", params=params)
    assert problem(answer) == (400, "request_invalid")
    assert answer.json()["detail"].startswith([*params][-1])
