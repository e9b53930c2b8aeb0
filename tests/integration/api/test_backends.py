"""What operators see of backends, and removing one."""

from __future__ import annotations

import time

from harness.api import Place, facts, problem
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
            "facts": facts("web-1"),
            "extensions": {"agent": 1},
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
