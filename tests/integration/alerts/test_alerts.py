"""From a sample, or a lost connection, to an alert: a whole server, backends that push, real receivers."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest

from harness.alerts import AWAY, alerts, channel, firing, machine, rule, running, stays, told, until
from harness.events import watching
from harness.receivers import Hook
from quix.server import presence
from quix.server.alerting import engine, fleet
from quix.server.events import Kind
from quix.store import database
from quix.store.alert_rules import Watched
from quix.store.errors import StoreUnavailableError
from quix.store.roster import Known
from quix.store.users import Role
from quix.wire.messages import AgentFacts


async def test_a_metric_raises_and_resolves_with_hysteresis(tmp_path: Path, web: Hook) -> None:
    async with running(tmp_path) as (there, admin), machine(there, "m1") as m1, watching(admin) as events:
        await channel(admin, web.url)
        made = await rule(admin)
        await m1.push(cpu=0.9)  # no more than the threshold
        await stays(lambda: not web.taken, 0.5)
        assert await alerts(admin) == []
        await m1.push(cpu=0.95)
        raised = (await events.until("alert_raised"))[-1]
        (alert,) = await alerts(admin)
        assert raised["backend_id"] == m1.id == alert["backend_id"]
        assert raised["data"] == {
            "alert": alert["id"], "rule": "busy", "severity": "warning", "value": pytest.approx(95),
        }  # fmt: skip
        assert (alert["rule_id"], alert["rule_name"], alert["backend_name"]) == (made["id"], "busy", "m1")
        assert (alert["state"], alert["ended_at"], alert["silenced"]) == ("firing", None, False)
        await until(lambda: len(web.taken) == 1, "the message that it was raised")
        # Between the two borders nothing changes.
        for cpu in (0.85, 0.99, 0.81):
            await m1.push(cpu=cpu)
            await stays(lambda: len(web.taken) == 1, 0.2)
        assert [each["state"] for each in await alerts(admin)] == ["firing"]
        await m1.push(cpu=0.79)
        assert (await events.until("alert_resolved"))[-1]["data"]["value"] == pytest.approx(79)
        await until(lambda: len(web.taken) == 2, "the message that it is over")
        await m1.push(cpu=0.85)
        await stays(lambda: len(web.taken) == 2, 0.6)
    assert told(web) == [("alert.raised", 1), ("alert.resolved", 1)]
    body = web.bodies[0]
    assert body["text"] == "warning: busy: m1 (95 %)"
    assert body["data"]["rule"]["for"] == 0
    assert [each["id"] for each in body["data"]["alerts"]] == [alert["id"]]


async def test_it_has_to_last(tmp_path: Path, web: Hook) -> None:
    async with running(tmp_path) as (there, admin), machine(there, "m1") as m1:
        await channel(admin, web.url)
        await rule(admin, **{"for": 1.0})
        began = time.monotonic()
        while time.monotonic() < began + 0.7:
            await m1.push(cpu=0.95)
            await asyncio.sleep(0.1)
        await m1.push(cpu=0.5)
        await stays(lambda: not web.taken, 1.0)
        assert await alerts(admin) == []
        await m1.push(cpu=0.95)
        began = time.monotonic()
        await firing(there, 1)
        assert time.monotonic() - began > 0.9


async def test_what_is_not_measured_neither_raises_nor_ends(tmp_path: Path, web: Hook) -> None:
    async with running(tmp_path) as (there, admin), machine(there, "m1") as m1, machine(there, "m2") as m2:
        await channel(admin, web.url)
        await rule(admin, metric="memory", op="below", threshold=50, clear=60)
        await m1.push(cpu=0.95)
        await m2.push(cpu=0.2, memory_used=1e9, memory_total=10e9)
        await firing(there, 1)
        await m2.push(cpu=0.2)
        await stays(lambda: len(web.taken) <= 1, 0.7)
        assert [(each["backend_id"], each["state"]) for each in await alerts(admin)] == [(m2.id, "firing")]


async def test_a_sample_that_is_old_tells_nothing(
    tmp_path: Path, web: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    async with running(tmp_path) as (there, admin), machine(there, "m1") as m1:
        there.control.alerts._patience = 0.3
        await channel(admin, web.url)
        await rule(admin, **{"for": 1.0})
        await m1.push(cpu=0.95)
        await asyncio.sleep(1.5)
        assert await alerts(admin) == []


async def test_a_backend_that_leaves_and_comes_back(tmp_path: Path, web: Hook) -> None:
    async with running(tmp_path) as (there, admin):
        await channel(admin, web.url)
        await rule(admin, **AWAY, **{"for": 0.4})
        async with machine(there, "m1") as m1:
            await stays(lambda: not web.taken, 0.6)
        await until(lambda: told(web) == [("alert.raised", 1)], "it was raised")
        assert "away for" in web.bodies[0]["text"]
        async with there._door.client() as client:
            await client.resume(m1.agent.token)
            await until(lambda: told(web)[1:] == [("alert.resolved", 1)], "it is over")
        (alert,) = await alerts(admin)
        assert alert["value"] >= 0.4
        assert alert["state"] == "resolved"


async def test_one_that_comes_and_leaves_between_two_looks_is_missed(
    tmp_path: Path, web: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LOOK", 0.7)
    monkeypatch.setattr(presence, "_FLUSH_INTERVAL", 60.0)  # the store knows nothing of it either
    async with running(tmp_path) as (there, admin):
        await rule(admin, **{**AWAY, "for": 0}, channels=[await channel(admin, web.url)])
        async with machine(there, "web-1"):
            pass
        await until(lambda: told(web) == [("alert.raised", 1)], "it is told that it is away")


async def test_a_blink_is_no_alert_and_what_was_never_here_is_not_missed(tmp_path: Path, web: Hook) -> None:
    async with running(tmp_path) as (there, admin):
        await channel(admin, web.url)
        await rule(admin, **AWAY, **{"for": 2.5})
        assert (await admin.post("/backends", json={"name": "phone"})).status_code == 201
        async with machine(there, "m1") as m1:
            pass
        await asyncio.sleep(0.4)
        async with there._door.client() as client:
            await client.resume(m1.agent.token)
            await stays(lambda: not web.taken, 3)
        assert await alerts(admin) == []


async def test_a_restart_neither_repeats_nor_forgets(tmp_path: Path, web: Hook) -> None:
    async with running(tmp_path) as (there, admin):
        await channel(admin, web.url)
        await rule(admin)
        await rule(admin, **AWAY, **{"for": 1.5})
        async with machine(there, "m1") as m1, machine(there, "m2") as m2:
            await m1.push(cpu=0.95)
            await m2.push(cpu=0.95)
            await until(lambda: told(web) == [("alert.raised", 2)], "both were raised")
    async with running(tmp_path) as (there, admin):
        await stays(lambda: len(web.taken) == 1, 0.8)
        assert len(await there.control.store.alerts.firing()) == 2
        async with there._door.client(extend=True) as one, there._door.client(extend=True) as two:
            offer = {"extensions": {"agent": 1, "telemetry": 1}}
            await one.resume(m1.agent.token, **offer)
            await two.resume(m2.agent.token, **offer)
            for client, cpu in ((one, 0.1), (two, 0.99)):
                sample = {"seq": 1, "at": round(time.time(), 3), "cpu": cpu}
                await client.send("push_samples", {"series": "t", "samples": [sample]})
            await until(lambda: len(web.taken) == 2, "one is over")
            # Both came back within the time of the rule, counted from the start.
            await stays(lambda: len(web.taken) == 2, 1.5)
    assert told(web) == [("alert.raised", 2), ("alert.resolved", 1)]
    assert web.bodies[1]["data"]["alerts"][0]["backend_id"] == m1.id


async def test_a_silenced_alert_is_kept_and_shown_and_told_when_the_silence_ends(tmp_path: Path, web: Hook) -> None:
    async with running(tmp_path) as (there, admin), machine(there, "m1") as m1, machine(there, "m2") as m2:
        await channel(admin, web.url)
        await rule(admin)
        body = {"until": time.time() + 60, "backend_id": "m1", "comment": "at work"}
        made = await admin.post("/alerts/silences", json=body)
        assert made.status_code == 201, made.text
        assert made.json()["backend_id"] == m1.id
        await m1.push(cpu=0.95)
        await firing(there, 1)
        await m2.push(cpu=0.95)
        await until(lambda: told(web) == [("alert.raised", 1)], "the other one")
        assert web.bodies[0]["data"]["alerts"][0]["backend_id"] == m2.id
        await stays(lambda: len(web.taken) == 1, 0.7)
        assert {each["backend_id"]: each["silenced"] for each in await alerts(admin)} == {m1.id: True, m2.id: False}
        assert (await admin.delete(f"/alerts/silences/{made.json()['id']}")).status_code == 204
        await until(lambda: len(web.taken) == 2, "what still fires")
        assert web.bodies[1]["data"]["alerts"][0]["backend_id"] == m1.id
        assert not any(each["silenced"] for each in await alerts(admin))


async def test_a_silence_that_runs_out_is_one_that_ended(tmp_path: Path, web: Hook) -> None:
    async with running(tmp_path) as (there, admin), machine(there, "m1") as m1:
        await channel(admin, web.url)
        await rule(admin)
        assert (await admin.post("/alerts/silences", json={"until": time.time() + 3})).status_code == 201
        await m1.push(cpu=0.95)
        await stays(lambda: not web.taken)
        await until(lambda: web.taken, "the message")
        assert (await admin.get("/alerts/silences")).json()["items"] == []


async def test_a_machine_that_is_new_is_called_by_its_name(
    tmp_path: Path, web: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It enrols, tells its name, and is in trouble, all while the server looks up who has just enrolled."""
    async with running(tmp_path) as (there, admin):
        await channel(admin, web.url)
        await rule(admin)
        store = there.control.store
        look_up, keep = store.roster.some, store.backends.set_facts
        is_looked_up, is_in_trouble = asyncio.Event(), asyncio.Event()

        async def look_up_slowly(ids: Sequence[str]) -> list[Known]:
            found = await look_up(ids)
            is_looked_up.set()
            await is_in_trouble.wait()
            return found

        async def keep_later(backend_id: str, facts: AgentFacts) -> bool:
            await is_looked_up.wait()
            return await keep(backend_id, facts)

        monkeypatch.setattr(store.roster, "some", look_up_slowly)
        monkeypatch.setattr(store.backends, "set_facts", keep_later)
        async with machine(there, "m1") as m1:
            await m1.push(cpu=0.95)
            await until(lambda: there.control.collector.track(m1.id), "its sample")
            is_in_trouble.set()
            await until(lambda: web.taken, "the message")
    assert [each["backend_name"] for each in web.bodies[0]["data"]["alerts"]] == ["m1"]


async def test_what_ends_for_another_cause_is_not_told(tmp_path: Path, web: Hook) -> None:
    async with running(tmp_path) as (there, admin), AsyncExitStack() as stack:
        await channel(admin, web.url)
        made = await rule(admin)
        fleet = [await stack.enter_async_context(machine(there, f"m{number}")) for number in range(4)]
        for each in fleet:
            await each.push(cpu=0.95)
        await until(lambda: sum(count for _, count in told(web)) == 4, "all were raised")
        sent = len(web.taken)
        assert (await admin.delete(f"/backends/{fleet[0].id}")).status_code == 204
        await firing(there, 3)
        assert (await admin.post(f"/backends/{fleet[1].id}/revoke")).status_code == 200
        await firing(there, 2)
        path = f"/alerts/rules/{made['id']}"
        assert (await admin.patch(path, json={"labels": {"role": "web"}})).status_code == 200
        await firing(there, 0)
        assert (await admin.patch(f"/backends/{fleet[2].id}", json={"labels": {"role": "web"}})).status_code == 200
        await firing(there, 1)
        await until(lambda: len(web.taken) == sent + 1, "it was raised for who has the label now")
        assert (await admin.patch(path, json={"enabled": False})).status_code == 200
        await firing(there, 0)
        assert (await admin.patch(path, json={"enabled": True})).status_code == 200
        await firing(there, 1)
        await until(lambda: len(web.taken) == sent + 2, "it was raised anew")
        assert (await admin.delete("/alerts/rules/busy")).status_code == 204
        await firing(there, 0)
        await stays(lambda: len(web.taken) == sent + 2, 0.7)
    assert {kind for kind, _ in told(web)} == {"alert.raised"}


async def test_what_ends_while_the_store_is_away_ends_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.2)
    async with running(tmp_path) as (there, admin), machine(there, "m1") as m1:
        await admin.patch(f"/backends/{m1.id}", json={"labels": {"role": "web"}})
        await rule(admin, labels={"role": "web"}, channels=[])
        await m1.push(cpu=0.95)
        await firing(there, 1)
        end, failed = there.control.store.alerts.end, asyncio.Event()

        async def end_or_tell(alert_ids: Sequence[str], at: float, *, is_quiet: bool = False) -> None:
            try:
                await end(alert_ids, at, is_quiet=is_quiet)
            except StoreUnavailableError:
                failed.set()
                raise

        monkeypatch.setattr(there.control.store.alerts, "end", end_or_tell)
        path = tmp_path / "server" / "quix.db"
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
            await asyncio.to_thread(other.execute, "DELETE FROM labels WHERE name = 'role'")
            await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")  # a writer that does not let go
            there.control.events.publish(Kind.BACKEND_CHANGED, m1.id)
            async with asyncio.timeout(10):
                await failed.wait()
            other.execute("ROLLBACK")
        await firing(there, 0)
        assert [each["state"] for each in await alerts(admin)] == ["resolved"]


async def test_who_is_limited_sees_the_alerts_of_his_backends(tmp_path: Path, web: Hook) -> None:
    async with running(tmp_path) as (there, admin), machine(there, "m1") as m1, machine(there, "m2") as m2:
        await admin.patch(f"/backends/{m1.id}", json={"labels": {"team": "a"}})
        await there.control.store.users.set_labels("watch", {"team": "a"})
        await there.control.store.users.set_labels("op", {"team": "a"})
        viewer, operator = await there.login(Role.VIEWER), await there.login(Role.OPERATOR)
        await channel(admin, web.url)
        await rule(admin)
        await rule(admin, name="other", labels={"team": "b"})
        async with watching(viewer) as events:
            await m2.push(cpu=0.95)
            await firing(there, 1)
            await m1.push(cpu=0.95)
            assert (await events.until("alert_raised"))[-1]["backend_id"] == m1.id
        assert [each["backend_id"] for each in await alerts(viewer)] == [m1.id]
        assert (await viewer.get("/alerts", params={"backend": m2.id})).status_code == 404
        assert [each["name"] for each in (await viewer.get("/alerts/rules")).json()["items"]] == ["busy"]
        # What he silences is his, whatever he says.
        until_then = {"until": time.time() + 60}
        assert (await viewer.post("/alerts/silences", json=until_then)).status_code == 403
        assert (await operator.post("/alerts/silences", json={**until_then, "backend_id": m2.id})).status_code == 404
        assert (await operator.post("/alerts/silences", json=until_then)).status_code == 201
        async with asyncio.timeout(10):
            while {each["backend_id"]: each["silenced"] for each in await alerts(admin)} != {m1.id: True, m2.id: False}:
                await asyncio.sleep(0.05)
        on_m2 = (await admin.post("/alerts/silences", json={**until_then, "backend_id": m2.id})).json()["id"]
        listed = (await operator.get("/alerts/silences")).json()["items"]
        assert [each["created_by"] for each in listed] == ["op"]
        assert (await operator.delete(f"/alerts/silences/{on_m2}")).status_code == 404


def test_every_metric_but_the_connection_is_measured() -> None:
    assert {*fleet._MEASURES, Watched.CONNECTION} == {*Watched}
