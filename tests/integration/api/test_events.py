"""The stream of events: what is in it, going on after a cut, who sees what, and when it ends."""

from __future__ import annotations

import time
from typing import Any

import pytest

from harness.api import Place, problem
from harness.events import watching
from quix.api import events
from quix.server.events import RING, Kind
from quix.store.users import Role


def machine(req: str, msg: Any) -> Any:
    if req == "execute" and msg["cmd"] == ["none"]:
        return {"result": "failure", "reason": "command_not_found"}
    return {"result": "success", "proc_id": 7} if req == "execute" else {"result": "success"}


async def test_the_life_of_a_backend(there: Place) -> None:
    operator, admin = await there.login(Role.OPERATOR), await there.login(Role.ADMIN)
    async with watching(operator) as watch:
        async with there.agent(machine, "web-1") as agent:
            path = f"/backends/{agent.id}"
            run = (await operator.post(f"{path}/processes", json={"cmd": ["true"]})).json()["run_id"]
            await operator.post(f"{path}/processes", json={"cmd": ["none"]})
            await operator.post(f"{path}/vpn", json={"conf_type": "wireguard"})
            await operator.delete(f"{path}/vpn")
            await operator.post(f"{path}/vpn/restore")
            await admin.delete(path)
        found = await watch.until("backend_disconnected")
    assert {event["backend_id"] for event in found} == {agent.id}
    assert all(abs(event["at"] - time.time()) < 60 for event in found)
    seen = [(event["kind"], event["data"]) for event in found]
    refused = seen.pop(4)
    assert (refused[0], refused[1]["state"], refused[1]["outcome"]) == ("run_ended", "refused", "command_not_found")
    assert seen == [
        ("backend_enrolled", {"enrolled_by": "gate"}),
        ("backend_connected", {"address": "127.0.0.1"}),
        ("backend_changed", {"name": "web-1"}),
        ("run_started", {"run": run, "proc_id": 7, "started_by": "op"}),
        ("lease_changed", {"conf_type": "wireguard", "change": "configured"}),
        ("lease_changed", {"conf_type": "wireguard", "change": "revoked"}),
        ("lease_changed", {"conf_type": "wireguard", "change": "restored"}),
        ("backend_removed", {"name": "web-1"}),
        ("backend_disconnected", {"code": 4002, "reason": "this backend has been removed"}),
    ]


async def test_a_reader_goes_on_where_it_was_cut_off(there: Place) -> None:
    viewer = await there.login(Role.VIEWER)
    async with watching(viewer) as watch:
        first = watch.last
        there.control.events.publish(Kind.RUN_CHANGED, "b1", n=1)
        one = await watch.next()
    for n in (2, 3):
        there.control.events.publish(Kind.RUN_CHANGED, "b1", n=n)
    async with watching(viewer, str(one["id"])) as watch:
        assert [(await watch.next())["data"]["n"] for _ in range(2)] == [2, 3]
    async with watching(viewer, first) as watch:
        assert [(await watch.next())["data"]["n"] for _ in range(3)] == [1, 2, 3]


async def test_who_was_away_too_long_is_told_to_load_anew(there: Place) -> None:
    viewer = await there.login(Role.VIEWER)
    hub = there.control.events
    place = hub.newest
    for _ in range(RING + 1):
        hub.publish(Kind.RUN_CHANGED, "b1")
    for last in (place, 12345, hub.newest + 1000):
        async with watching(viewer, str(last)) as watch:
            reset = await watch.next()
            assert (reset["kind"], reset["id"]) == ("reset", hub.newest)
            hub.publish(Kind.RUN_ENDED, "b1")
            assert (await watch.next())["kind"] == "run_ended"


async def test_filters(there: Place) -> None:
    viewer = await there.login(Role.VIEWER)
    async with (
        there.agent(machine, "web-1") as agent,
        watching(viewer, kind="run_ended, run_started") as by_kind,
        watching(viewer, backend="web-1") as by_backend,
    ):
        for backend in ("b1", agent.id):
            for kind in (Kind.RUN_STARTED, Kind.RUN_CHANGED, Kind.RUN_ENDED):
                there.control.events.publish(kind, backend)
        seen = [await by_kind.next() for _ in range(4)]
        assert [event["kind"] for event in seen] == ["run_started", "run_ended"] * 2
        seen = [await by_backend.next() for _ in range(3)]
        assert {event["backend_id"] for event in seen} == {agent.id}


@pytest.mark.parametrize(
    ("params", "headers", "expected"),
    [
        ({"kind": "breathe"}, {}, (400, "request_invalid")),
        ({"kind": "reset"}, {}, (400, "request_invalid")),
        ({"backend": "nowhere"}, {}, (404, "backend_unknown")),
        ({}, {"Last-Event-ID": "x"}, (400, "request_invalid")),
        ({}, {"Last-Event-ID": "9" * 17}, (400, "request_invalid")),
    ],
)
async def test_what_will_not_do(
    there: Place, params: dict[str, str], headers: dict[str, str], expected: tuple[int, str]
) -> None:
    viewer = await there.login(Role.VIEWER)
    assert problem(await viewer.get("/events", params=params, headers=headers)) == expected


async def test_users_are_shown_to_admins_alone(there: Place) -> None:
    viewer, admin = await there.login(Role.VIEWER), await there.login(Role.ADMIN)
    async with watching(viewer) as seen_by_viewer, watching(admin) as seen_by_admin:
        await admin.post("/users", json={"name": "ada", "role": "viewer", "password": "a good long password"})
        await admin.patch("/users/ada", json={"role": "operator"})
        await admin.delete("/users/ada")
        there.control.events.publish(Kind.RUN_ENDED, "b1")
        kinds = [event["kind"] for event in await seen_by_admin.until("run_ended")]
        assert kinds == ["user_added", "user_changed", "user_removed", "run_ended"]
        assert [event["kind"] for event in await seen_by_viewer.until("run_ended")] == ["run_ended"]


async def test_silence_is_broken_so_that_the_place_moves_on(there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_SILENCE", 0.05)
    monkeypatch.setattr(events, "_CHECK", 0.05)
    viewer = await there.login(Role.VIEWER)
    async with watching(viewer, kind="run_ended") as watch:
        before = watch.last
        there.control.events.publish(Kind.RUN_STARTED, "b1")
        async for line in watch._lines:
            if line == f"id: {there.control.events.newest}":
                break
        assert line != f"id: {before}"


async def test_the_stream_ends_with_the_login(there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_CHECK", 0.05)
    one, two = await there.login(Role.OPERATOR), await there.login(Role.VIEWER)
    async with watching(one) as demoted, watching(two) as left:
        await there.control.store.users.set_role("op", Role.VIEWER)
        await demoted.ended()
        await two.post("/logout")
        await left.ended()


async def test_a_door_that_closes_does_not_wait_for_readers(there: Place) -> None:
    viewer = await there.login(Role.VIEWER)
    async with watching(viewer) as watch:
        began = time.monotonic()
        await there.close()
        assert time.monotonic() - began < 3
        await watch.ended()
