"""Enrolment keys over REST, and the machines that enrol with them."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from harness.api import Place, place, problem
from harness.server import free_port
from quix.server.throttle import PAIR_LIMIT
from quix.store.search import Sought
from quix.store.users import Role

REFUSED = {"success": False, "reason": "password_invalid"}


async def made(admin: httpx.AsyncClient, **asked: Any) -> tuple[dict[str, Any], str]:
    """Make a key; return what the server said of it, and its secret."""
    answer = await admin.post("/enrolments", json=asked)
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    found = re.search(r"QUIX_PASSWORD=([\w-]+)", body["command"])
    assert found is not None
    return body, found[1]


async def enrol(there: Place, name: str, secret: str) -> Any:
    async with there.seed_client() as client:
        return await client.enroll(name, secret)


async def enrolled_rows(there: Place, admin: httpx.AsyncClient) -> list[dict[str, Any]]:
    await there.control.audit.flush()
    rows: list[dict[str, Any]] = (await admin.get("/audit", params={"action": "backend_enrolled"})).json()["items"]
    return rows


async def test_a_key_makes_as_many_backends_as_it_says(there: Place) -> None:
    admin = await there.login(Role.ADMIN)
    key, secret = await made(admin, uses=2, labels={"site": "north"}, expires=60)
    assert set(key) == {"id", "name", "command", "expires_at", "uses", "labels"}
    assert 58 < key["expires_at"] - time.time() <= 60
    assert [(await enrol(there, key["name"], secret))["success"] for _ in range(3)] == [True, True, False]
    found = (await admin.get("/backends", params={"label": "site=north"})).json()["items"]
    assert [each["enrolled_by"] for each in found] == [key["name"]] * 2
    (listed,) = (await admin.get("/enrolments")).json()["items"]
    assert listed == {
        "id": key["id"], "name": key["name"], "created_by": "root", "created_at": listed["created_at"],
        "expires_at": key["expires_at"], "uses": 2, "used": 2, "labels": {"site": "north"},
    }  # fmt: skip


async def test_two_machines_at_once_do_not_share_the_last_use(there: Place) -> None:
    key, secret = await made(await there.login(Role.ADMIN))
    answers = await asyncio.gather(*(enrol(there, key["name"], secret) for _ in range(5)))
    assert sorted(answer["success"] for answer in answers) == [False] * 4 + [True]
    assert all(answer == REFUSED for answer in answers if not answer["success"])
    assert len(await there.control.store.search.page(Sought(), None, 10)) == 1


@pytest.mark.parametrize(
    ("why", "expires", "wrong"),
    [("the secret is wrong", 60, "x"), ("the key is used up", 60, ""), ("the key is over", 1, "")],
)
async def test_a_key_is_refused_like_a_wrong_password_and_the_log_says_why(
    there: Place, why: str, expires: int, wrong: str
) -> None:
    admin = await there.login(Role.ADMIN)
    key, secret = await made(admin, expires=expires)
    if "used" in why:
        assert (await enrol(there, key["name"], secret))["success"] is True
    while time.time() <= key["expires_at"] and "over" in why:
        await asyncio.sleep(0.05)
    with capture_logs() as logs:
        assert await enrol(there, key["name"], secret + wrong) == REFUSED
    (line,) = [line for line in logs if line["event"] == "authentication refused"]
    assert (line["key"], line["why"]) == (key["name"], why)
    row = (await enrolled_rows(there, admin))[0]
    assert (row["user"], row["outcome"], row["detail"]) == (key["name"], "password_invalid", {"why": why})


async def test_guessing_a_secret_has_to_wait(there: Place) -> None:
    key, secret = await made(await there.login(Role.ADMIN))
    async with there.seed_client() as client:
        for _ in range(PAIR_LIMIT.free + 1):
            assert await client.enroll(key["name"], "guess") == REFUSED
        assert await client.enroll(key["name"], secret) == {"success": False, "reason": "rate_limited"}


async def test_a_name_that_only_looks_like_a_key_is_a_user(there: Place) -> None:
    await there.control.accounts.add_user("key-ada", Role.ENROLLER, "another good password")
    assert await enrol(there, "key-bob", "guess") == REFUSED
    assert (await enrol(there, "key-ada", "another good password"))["success"] is True


async def test_a_key_that_was_ended_is_nobodys_and_its_backends_stay(there: Place) -> None:
    admin = await there.login(Role.ADMIN)
    key, secret = await made(admin, uses=5)
    assert (await enrol(there, key["name"], secret))["success"] is True
    assert (await admin.delete(f"/enrolments/{key['id']}")).status_code == 204
    assert problem(await admin.delete(f"/enrolments/{key['id']}")) == (404, "enrolment_unknown")
    assert await enrol(there, key["name"], secret) == REFUSED
    assert (await admin.get("/enrolments")).json() == {"items": [], "next": None}
    assert len((await admin.get("/backends")).json()["items"]) == 1


async def test_making_and_ending_one_is_in_the_audit_without_the_secret(there: Place) -> None:
    admin = await there.login(Role.ADMIN)
    key, secret = await made(admin, uses=3, labels={"site": "north"})
    await admin.delete(f"/enrolments/{key['id']}")
    rows = (await admin.get("/audit")).json()["items"]
    ended, added = rows[0], rows[1]
    assert (ended["action"], ended["user"], ended["target"]) == ("enrolment_ended", "root", key["id"])
    assert (added["action"], added["target"]) == ("enrolment_added", key["id"])
    assert added["detail"] == {"key": key["name"], "uses": "3", "expires": "3600", "labels": "site=north"}
    assert secret not in str(rows)


async def test_who_is_limited_makes_no_key(there: Place) -> None:
    admin = await there.login(Role.ADMIN)
    token = (await admin.post("/tokens", json={"name": "n", "role": "admin", "labels": {"site": "north"}})).json()
    limited = await there.bearer(token["token"])
    assert problem(await limited.post("/enrolments", json={})) == (403, "permission_denied")
    assert problem(await limited.get("/enrolments")) == (403, "permission_denied")


@pytest.mark.parametrize(
    "asked",
    [{"uses": 0}, {"expires": 0}, {"expires": 10**9}, {"vpn": "openvpn"}, {"server": "wss://host'x/wsi"},
     {"server": "wss://[::::]/wsi"}, {"server": "wss://h:99999/wsi"},
     {"server": "ws://control.example.org/wsi"}, {"server": "https://control.example.org"}],
)  # fmt: skip
async def test_what_makes_no_line_makes_no_key(there: Place, asked: dict[str, Any]) -> None:
    admin = await there.login(Role.ADMIN)
    assert problem(await admin.post("/enrolments", json=asked)) == (400, "request_invalid")
    assert (await admin.get("/enrolments")).json()["items"] == []


async def test_the_line_of_a_server_that_is_on_this_machine(there: Place) -> None:
    key, secret = await made(await there.login(Role.ADMIN), vpn="wireguard")
    at = there.control.settings.listen
    assert key["command"] == (
        f"{{ echo 'QUIX_SERVER=ws://{at}/wsi QUIX_USERNAME={key['name']} QUIX_PASSWORD={secret} QUIX_VPN=wireguard';"
        f" curl -fsS --retry 5 'http://{at}/install' || echo exit 1; }} | $(test $(id -u) = 0 || echo sudo) sh"
    )


async def test_the_line_pins_a_self_signed_certificate_and_names_the_server_as_it_was_reached(tmp_path: Path) -> None:
    listen = f"0.0.0.0:{free_port()}"
    async with place(tmp_path, tls_self_signed=True) as there:
        admin = await there.login(Role.ADMIN)
        there.control.settings.listen = listen
        admin.headers["host"] = "control.example.org:8480"
        key, _ = await made(admin)
        port = listen.rpartition(":")[2]
        assert f"QUIX_SERVER=wss://control.example.org:{port}/wsi " in key["command"]
        assert re.search(r"-k --pinnedpubkey 'sha256//[A-Za-z0-9+/]{43}=' 'https://", key["command"])
        proxied, _ = await made(admin, server="wss://quix.example.org/wsi")
        assert "QUIX_SERVER=wss://quix.example.org/wsi " in proxied["command"]
        admin.headers["host"] = "x'; rm -rf /; '"
        assert (await admin.post("/enrolments", json={})).status_code == 400


async def test_a_server_that_speaks_plain_text_to_others_makes_no_line(there: Place) -> None:
    there.control.settings.listen = f"0.0.0.0:{free_port()}"
    admin = await there.login(Role.ADMIN)
    admin.headers["host"] = "control.example.org"
    answer = await admin.post("/enrolments", json={})
    assert problem(answer) == (400, "request_invalid")
    assert "tls_self_signed" in answer.json()["detail"]
