"""What is in the audit after something was done or tried, and how it is read."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from harness.api import API, Place, place, problem
from harness.server import PASSWORD
from quix.store.actions import Action
from quix.store.audit import Entry, Wanted
from quix.store.users import Role

Rows = list[tuple[str, str, str, str]]


def machine(req: str, msg: Any) -> Any:
    if req == "execute" and msg["cmd"][0] == "none":
        return {"result": "failure", "reason": "command_not_found"}
    return {"result": "success", "proc_id": 7} if req == "execute" else {"result": "success"}


async def listed(there: Place, **params: Any) -> list[dict[str, Any]]:
    """The rows in the order of what was done, but for logins unless they are asked for."""
    await there.control.audit.flush()
    found = [msgspec.to_builtins(row) async for row in there.control.store.audit.scan(Wanted(**params))]
    return [row for row in sorted(found, key=by_time) if row["action"] != "login" or params.get("action") == "login"]


def by_time(row: dict[str, Any]) -> float:
    at: float = row["at"]
    return at


def short(rows: list[dict[str, Any]]) -> Rows:
    return [(row["user"], row["action"], row["target"], row["outcome"]) for row in rows]


async def test_a_program_has_two_rows_and_no_arguments(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    async with there.agent(machine) as agent:
        body = {"cmd": ["curl", "--password", "hunter2"]}
        run = (await operator.post(f"/backends/{agent.id}/processes", json=body)).json()["run_id"]
        refused = await operator.post(f"/backends/{agent.id}/processes", json={"cmd": ["none"]})
        assert problem(refused) == (422, "command_not_found")
    found = await listed(there, action="execute")
    assert short(found[:2]) == [("op", "execute", run, "asked"), ("op", "execute", run, "success")]
    assert [row["outcome"] for row in found[2:]] == ["asked", "command_not_found"]
    assert found[2]["target"] == found[3]["target"] != run
    for row in found:
        assert (row["backend_id"], row["address"]) == (agent.id, "127.0.0.1")
    assert found[0]["detail"] == {"program": "curl"}
    assert "hunter2" not in json.dumps(found)


async def test_the_row_is_on_the_disk_before_the_program_is_started(tmp_path: Path) -> None:
    seen: list[Any] = []

    def look(req: str, msg: Any) -> Any:
        with closing(sqlite3.connect(tmp_path / "quix.db")) as other:
            seen.extend(other.execute("SELECT user, outcome FROM audit WHERE action = 'execute'").fetchall())
        return machine(req, msg)

    async with place(tmp_path) as there, there.agent(look) as agent:
        operator = await there.login(Role.OPERATOR)
        assert (await operator.post(f"/backends/{agent.id}/processes", json={"cmd": ["true"]})).status_code == 201
    assert seen == [("op", "asked")]


async def test_what_was_asked_twice_is_one_run(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    async with there.agent(machine) as agent:
        path, headers = f"/backends/{agent.id}/processes", {"Idempotency-Key": "k"}
        answers = [await operator.post(path, json={"cmd": ["true"]}, headers=headers) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 201]
    found = await listed(there, action="execute")
    assert [row["outcome"] for row in found] == ["asked", "success", "success"]
    assert {row["target"] for row in found} == {answer.json()["run_id"] for answer in answers}


async def test_what_is_done_to_backends(there: Place) -> None:
    operator, admin = await there.login(Role.OPERATOR), await there.login(Role.ADMIN)
    async with there.agent(machine, "web-1") as agent:
        await operator.post("/backends/web-1/processes/7/signal", json={"mode": "SIGTERM"})
        await operator.post("/backends/web-1/vpn", json={"conf_type": "wireguard"})
        await operator.post("/backends/web-1/vpn", json={"conf_type": "carrier pigeon"})
        await operator.delete("/backends/web-1/vpn")
        await operator.delete("/backends/web-1/vpn")
        await operator.post("/backends/web-1/vpn/restore")
        await admin.delete("/backends/web-1")
        found = await listed(there, backend_id=agent.id)
    assert short(found) == [
        ("gate", "backend_enrolled", "", "success"),
        ("op", "signal", "7", "success"),
        ("op", "vpn_conf", "", "success"),
        ("op", "vpn_conf", "", "conf_type_unknown"),
        ("op", "vpn_revoke", "", "success"),
        ("op", "vpn_revoke", "", "lease_unknown"),
        ("op", "vpn_restore", "", "success"),
        ("root", "backend_removed", "", "success"),
    ]
    assert found[1]["detail"] == {"mode": "SIGTERM"}
    assert found[-1]["detail"] == {"name": "web-1"}


async def test_a_backend_that_asks_for_a_configuration_has_no_user(there: Place) -> None:
    async with there.seed_client() as client:
        await client.enroll()
        await client.ask("get_vpn_conf", {"conf_type": "wireguard", "tun_mode": "udp"})
        await client.ask("get_vpn_conf", {"conf_type": "openvpn", "tun_mode": "udp"})
    found = await listed(there, action="vpn_conf")
    assert short(found) == [("", "vpn_conf", "", "success"), ("", "vpn_conf", "", "vpn_unavailable")]
    assert found[0]["backend_id"]
    assert found[0]["address"] == "127.0.0.1"


async def test_what_is_done_to_users(there: Place) -> None:
    admin = await there.login(Role.ADMIN)
    new = {"name": "ada", "role": "viewer", "password": "a good long password"}
    await admin.post("/users", json=new)
    await admin.post("/users", json=new)
    await admin.patch("/users/ada", json={"role": "operator"})
    await admin.patch("/users/ada", json={"password": "another good password"})
    await admin.patch("/users/ada", json={"password": "short"})
    await admin.patch("/users/nobody", json={"role": "viewer"})
    await admin.delete("/users/root")
    await admin.delete("/users/ada")
    await admin.post("/logout")
    found = await listed(there, user="root")
    assert short(found) == [
        ("root", "user_added", "ada", "success"),
        ("root", "user_added", "ada", "already_exists"),
        ("root", "user_changed", "ada", "success"),
        ("root", "password_changed", "ada", "success"),
        ("root", "password_changed", "ada", "request_invalid"),
        ("root", "user_changed", "nobody", "user_unknown"),
        ("root", "user_removed", "root", "last_admin"),
        ("root", "user_removed", "ada", "success"),
        ("root", "logout", "", "success"),
    ]
    assert "password" not in json.dumps([row["detail"] for row in found])


async def test_logins_and_those_that_failed(there: Place) -> None:
    for name, password in (("root", PASSWORD), ("root", "wrong password"), ("hunter2", "x"), ("gate", PASSWORD)):
        await there.web.post(f"{API}/login", json={"username": name, "password": password})
    (row,) = await listed(there, action="login")
    assert (row["user"], row["outcome"]) == ("root", "success")
    login = await there.control.store.credentials.get("login", row["target"])
    assert login is not None, "the target is the login, as it is listed"
    assert short(await listed(there, action="login_failed")) == [
        ("root", "login_failed", "", "password_invalid"),
        ("", "login_failed", "", "password_invalid"),
        ("gate", "login_failed", "", "permission_denied"),
    ]


async def test_who_guesses_fills_no_disk(there: Place) -> None:
    for _ in range(30):
        await there.web.post(f"{API}/login", json={"username": "root", "password": "wrong password"})
    found = await listed(there, action="login_failed")
    assert [row["outcome"] for row in found] == ["password_invalid", "rate_limited"]


async def test_who_is_not_allowed_is_in_the_audit(there: Place) -> None:
    viewer, operator = await there.login(Role.VIEWER), await there.login(Role.OPERATOR)
    async with there.agent(machine, "web-1"):
        assert problem(await viewer.post("/backends/web-1/processes", json={"cmd": ["true"]}))[0] == 403
        assert problem(await operator.delete("/backends/web-1"))[0] == 403
        assert problem(await operator.delete("/users/root"))[0] == 403
        assert problem(await operator.post("/backends/elsewhere/vpn", json={"conf_type": "wireguard"}))[0] == 404
        assert problem(await viewer.get("/audit/export"))[0] == 403
    assert short(await listed(there))[1:] == [
        ("watch", "execute", "web-1", "permission_denied"),
        ("op", "backend_removed", "web-1", "permission_denied"),
        ("op", "user_removed", "root", "permission_denied"),
        ("op", "vpn_conf", "elsewhere", "backend_unknown"),
        ("watch", "audit_exported", "", "permission_denied"),
    ]


async def test_a_viewer_who_would_let_output_go_is_in_the_audit(there: Place) -> None:
    viewer, operator = await there.login(Role.VIEWER), await there.login(Role.OPERATOR)
    async with there.agent(machine, "web-1"):
        run = (await operator.post("/backends/web-1/processes", json={"cmd": ["true"]})).json()["run_id"]
        for wish in ("acknowledge", "unattended"):
            answer = await viewer.get(f"/backends/web-1/runs/{run}/output?{wish}=true")
            assert problem(answer) == (403, "permission_denied")
    found = await listed(there, action="run_output")
    assert short(found) == [("watch", "run_output", "web-1", "permission_denied")]


async def test_an_enrolment_that_failed(there: Place) -> None:
    async with there.seed_client() as client:
        await client.enroll("watch")
        await client.enroll("gate", "wrong password")
        await client.enroll("nobody at all")
    assert short(await listed(there, action="backend_enrolled")) == [
        ("watch", "backend_enrolled", "", "enroll_denied"),
        ("gate", "backend_enrolled", "", "password_invalid"),
        ("", "backend_enrolled", "", "password_invalid"),
    ]


async def test_a_user_reads_output_and_writes_input_once(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    async with there.agent(machine) as agent:
        run = (await operator.post(f"/backends/{agent.id}/processes", json={"cmd": ["true"]})).json()["run_id"]
        path = f"/backends/{agent.id}/runs/{run}"
        for _ in range(3):
            await operator.get(f"{path}/output")
            await operator.post(f"{path}/input", json={"offset": 0, "data": ""})
        await (await there.login(Role.VIEWER)).get(f"{path}/output/events")
        found = await listed(there, backend_id=agent.id)
    assert short(found[-3:]) == [
        ("op", "run_output", run, "success"),
        ("op", "run_input", run, "success"),
        ("watch", "run_output", run, "success"),
    ]


# -- reading it -----------------------------------------------------------------------------------


async def test_pages_and_filters(there: Place) -> None:
    admin = await there.login(Role.ADMIN)
    for name in ("ada", "bob", "cyd"):
        await admin.post("/users", json={"name": name, "role": "viewer", "password": "a good long password"})
    first = (await admin.get("/audit", params={"action": "user_added", "limit": 2})).json()
    assert [row["target"] for row in first["items"]] == ["cyd", "bob"]
    rest = (await admin.get("/audit", params={"action": "user_added", "limit": 2, "after": first["next"]})).json()
    assert ([row["target"] for row in rest["items"]], rest["next"]) == (["ada"], None)
    middle = first["items"][1]["at"]
    after = (await admin.get("/audit", params={"action": "user_added", "since": middle})).json()["items"]
    assert [row["target"] for row in after] == ["cyd", "bob"]
    before = (await admin.get("/audit", params={"action": "user_added", "until": middle})).json()["items"]
    assert [row["target"] for row in before] == ["ada"]


@pytest.mark.parametrize("params", [{"after": "x"}, {"after": "9" * 40}, {"action": "breathe"}, {"since": "noon"}])
async def test_a_parameter_that_will_not_do(there: Place, params: dict[str, str]) -> None:
    admin = await there.login(Role.ADMIN)
    answer = await admin.get("/audit", params=params)
    assert problem(answer) == (400, "request_invalid")
    assert answer.json()["detail"].startswith(next(iter(params)))


async def test_the_export_is_all_of_it_a_line_each(there: Place) -> None:
    await there.control.audit.flush()
    entry = [(float(n), row) for n in range(250) for row in (await sample(there),)]
    await there.control.store.audit.add(entry)
    admin = await there.login(Role.ADMIN)
    answer = await admin.get("/audit/export")
    assert answer.headers["content-type"] == "application/jsonl"
    found = [json.loads(line) for line in answer.text.splitlines()]
    assert [row["id"] for row in found] == list(range(1, len(found) + 1))
    assert len([row for row in found if row["target"] == "sample"]) == 250
    few = (await admin.get("/audit/export", params={"action": "signal", "until": 2})).text.splitlines()
    assert len(few) == 2
    assert (await admin.get("/audit/export", params={"user": "nobody"})).text == ""
    assert len(await listed(there, action="audit_exported")) == 3


async def sample(there: Place) -> Any:
    return Entry(action=Action.SIGNAL, target="sample")


async def test_rows_are_written_within_moments(there: Place) -> None:
    admin = await there.login(Role.ADMIN)
    await (await there.login(Role.VIEWER)).delete("/users/root")
    async with asyncio.timeout(10):
        while not await rows_of(admin, "permission_denied"):
            await asyncio.sleep(0.01)


async def rows_of(admin: httpx.AsyncClient, outcome: str) -> list[Any]:
    found: list[Any] = (await admin.get("/audit", params={"outcome": outcome})).json()["items"]
    return found


async def test_a_server_that_stops_writes_what_waits(tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        await (await there.login(Role.VIEWER)).delete("/users/root")
    with closing(sqlite3.connect(tmp_path / "quix.db")) as other:
        assert other.execute("SELECT count(*) FROM audit WHERE outcome = 'permission_denied'").fetchone() == (1,)


async def test_the_chain_holds_after_all_of_this(there: Place) -> None:
    admin = await there.login(Role.ADMIN)
    async with there.agent(machine, "ü \U0001f600") as agent:
        await asyncio.gather(
            *(admin.post(f"/backends/{agent.id}/processes", json={"cmd": ["päth", "x"]}) for _ in range(50))
        )
    await there.control.audit.flush()
    verdict = await there.control.store.audit.verify()
    assert verdict.broken == ""
    assert verdict.rows > 100
