"""Rules, channels and silences over REST: what is taken, what is not, and what is kept of it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.api import Place, problem
from harness.receivers import Hook, hook
from quix.store.users import Role

KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


@pytest.fixture
def web() -> Iterator[Hook]:
    with hook() as receiver:
        yield receiver


HOOK = {"name": "ops", "kind": "webhook", "url": "https://hooks.example/x"}
MAIL = {"name": "mail", "kind": "email", "to": ["ada@example.org"]}
RULE = {"name": "busy", "metric": "cpu", "threshold": 90}


async def actions(there: Place) -> list[tuple[str, str, str]]:
    await there.control.audit.flush()
    admin = await there.login(Role.ADMIN)
    rows = (await admin.get("/audit")).json()["items"]
    return [(row["action"], row["target"], row["outcome"]) for row in rows if row["action"].startswith("alert")][::-1]


async def test_a_channel_is_added_changed_and_removed(there: Place) -> None:
    admin = await there.login(Role.ADMIN)
    made = (await admin.post("/alerts/channels", json={**HOOK, "secret": SECRET})).json()
    assert set(made) == {
        "id", "name", "kind", "url", "to", "has_secret", "created_at", "last_sent_at", "last_error",
    }  # fmt: skip
    assert (made["has_secret"], made["last_sent_at"], made["last_error"]) == (True, None, None)
    listed = await admin.get("/alerts/channels")
    assert listed.json() == {"items": [made], "next": None}
    assert KEY not in there.control.settings.data_dir.joinpath("quix.db").read_bytes()
    assert SECRET.encode() not in there.control.settings.data_dir.joinpath("quix.db-wal").read_bytes()
    assert problem(await admin.post("/alerts/channels", json=HOOK)) == (409, "already_exists")
    changed = await admin.patch("/alerts/channels/ops", json={"name": "ops2", "secret": None})
    assert (changed.json()["name"], changed.json()["has_secret"]) == ("ops2", False)
    assert await there.control.store.alert_channels.secret(made["id"]) is None
    mail = (await admin.post("/alerts/channels", json=MAIL)).json()
    assert problem(await admin.patch(f"/alerts/channels/{mail['id']}", json={"name": "ops2"}))[0] == 409
    rule = (await admin.post("/alerts/rules", json={**RULE, "channels": ["ops2", mail["id"], "mail"]})).json()
    assert rule["channels"] == [made["id"], mail["id"]]
    assert (await admin.delete("/alerts/channels/ops2")).status_code == 204
    assert problem(await admin.delete("/alerts/channels/ops2")) == (404, "channel_unknown")
    assert (await admin.get("/alerts/rules/busy")).json()["channels"] == [mail["id"]]
    # What failed is written a moment later than what is part of a transaction.
    assert sorted(await actions(there)) == [
        ("alert_channel_added", "mail", "success"),
        ("alert_channel_added", "ops", "already_exists"),
        ("alert_channel_added", "ops", "success"),
        ("alert_channel_changed", "mail", "already_exists"),
        ("alert_channel_changed", "ops", "success"),
        ("alert_channel_removed", "ops2", "channel_unknown"),
        ("alert_channel_removed", "ops2", "success"),
        ("alert_rule_added", "busy", "success"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        {**HOOK, "url": None},
        {**HOOK, "url": "ftp://hooks.example/x"},
        {**HOOK, "url": "https:///x"},
        {**HOOK, "url": "https://hooks.example:84800/x"},
        {**HOOK, "url": "https://hooks.example:0/x"},
        {**HOOK, "url": "https://ada:pw@hooks.example/x"},
        {**HOOK, "url": "https://hooks.example/x#y"},
        {**HOOK, "url": "https://hooks.example/\r\nx: y"},
        {**HOOK, "to": ["ada@example.org"]},
        {**HOOK, "secret": "hunter2"},
        {**HOOK, "secret": "whsec_c2hvcnQ="},
        {**HOOK, "name": "a/b"},
        {**HOOK, "name": ""},
        {**HOOK, "kind": "pager"},
        {**MAIL, "to": []},
        {**MAIL, "to": ["ada@example.org\r\nBcc: eve@example.org"]},
        {**MAIL, "to": ["ada@example.org, eve@example.org"]},
        {**MAIL, "url": "https://hooks.example/x"},
        {**MAIL, "secret": SECRET},
    ],
    ids=lambda body: str({name: text for name, text in body.items() if {**HOOK, **MAIL}.get(name) != text})[:40],
)
async def test_a_channel_that_could_not_be_used_is_not_taken(there: Place, body: dict[str, Any]) -> None:
    admin = await there.login(Role.ADMIN)
    answer = await admin.post("/alerts/channels", json=body)
    assert problem(answer) == (400, "request_invalid")
    assert "hunter2" not in answer.text


async def test_a_test_message_is_signed_as_standard_webhooks_says(there: Place, web: Hook) -> None:
    admin = await there.login(Role.ADMIN)
    await admin.post("/alerts/channels", json={**HOOK, "url": web.url, "secret": SECRET})
    assert (await admin.post("/alerts/channels/ops/test")).status_code == 204
    ((headers, body),) = web.taken
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 10
    assert headers["content-type"] == "application/json"
    assert web.bodies[0]["type"] == "alert.test"
    assert web.bodies[0]["text"] == "test message, sent by root"
    listed = (await admin.get("/alerts/channels")).json()["items"][0]
    assert listed["last_sent_at"] == pytest.approx(time.time(), abs=10)


async def test_a_test_message_that_is_not_taken_says_why(there: Place, web: Hook, tmp_path: Path) -> None:
    admin = await there.login(Role.ADMIN)
    await admin.post("/alerts/channels", json={**HOOK, "url": web.url})
    web.status, web.answer = 403, b"who are you?\x1b[31m" + b"x" * 10_000
    answer = await admin.post("/alerts/channels/ops/test")
    assert problem(answer) == (422, "delivery_failed")
    said = answer.json()["detail"]
    assert said.startswith("the receiver answered 403: who are you?\ufffd[31mxxx")
    assert len(said) < 300
    assert (await admin.get("/alerts/channels")).json()["items"][0]["last_error"] == said
    # A redirect is not followed.
    web.status, web.location, web.answer = 307, web.url, b""
    answer = await admin.post("/alerts/channels/ops/test")
    assert answer.json()["detail"] == "the receiver answered 307"
    assert len(web.refused) == 2
    await admin.post("/alerts/channels", json=MAIL)
    answer = await admin.post("/alerts/channels/mail/test")
    assert problem(answer) == (422, "delivery_failed")
    assert "[alerts.email]" in answer.json()["detail"]
    assert problem(await admin.post("/alerts/channels/none/test")) == (404, "channel_unknown")


async def test_a_rule_is_added_changed_and_removed(there: Place) -> None:
    admin, viewer = await there.login(Role.ADMIN), await there.login(Role.VIEWER)
    made = await admin.post("/alerts/rules", json=RULE)
    assert made.status_code == 201
    rule = made.json()
    shape = {
        "id", "name", "metric", "op", "threshold", "clear", "for", "labels", "channels", "severity", "enabled",
        "created_by", "created_at",
    }  # fmt: skip
    assert set(rule) == shape
    assert {name: rule[name] for name in ("op", "clear", "for", "severity", "enabled", "created_by")} == {
        "op": "above", "clear": None, "for": 60, "severity": "warning", "enabled": True, "created_by": "root",
    }  # fmt: skip
    assert problem(await admin.post("/alerts/rules", json=RULE)) == (409, "already_exists")
    changed = await admin.patch(
        "/alerts/rules/busy", json={"for": 5, "labels": {"role": "web"}, "severity": "critical"}
    )
    assert changed.json() == {**rule, "for": 5, "labels": {"role": "web"}, "severity": "critical"}
    assert (await viewer.get(f"/alerts/rules/{rule['id']}")).json() == changed.json()
    assert (await viewer.get("/alerts/rules")).json() == {"items": [changed.json()], "next": None}
    assert problem(await viewer.get("/alerts/rules/none")) == (404, "rule_unknown")
    assert problem(await admin.patch("/alerts/rules/none", json={})) == (404, "rule_unknown")
    assert (await admin.delete("/alerts/rules/busy")).status_code == 204
    assert problem(await admin.delete("/alerts/rules/busy")) == (404, "rule_unknown")
    assert {
        ("alert_rule_added", "busy", "success"),
        ("alert_rule_added", "busy", "already_exists"),
        ("alert_rule_changed", "busy", "success"),
        ("alert_rule_removed", "busy", "success"),
    } <= {*await actions(there)}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"threshold": None}, "threshold"),
        ({"threshold": 101}, "per cent"),
        ({"metric": "connection"}, "connection has none"),
        ({"metric": "moon"}, "metric"),
        ({"clear": 91}, "above the threshold"),
        ({"op": "below", "clear": 89}, "below the threshold"),
        ({"op": "sideways"}, "op"),
        ({"for": -1}, "for"),
        ({"severity": "meh"}, "severity"),
        ({"channels": ["nobody"]}, "nobody"),
        ({"created_by": "eve"}, "created_by"),
    ],
    ids=str,
)
async def test_a_rule_that_makes_no_sense_is_not_taken(there: Place, change: dict[str, Any], word: str) -> None:
    admin = await there.login(Role.ADMIN)
    answer = await admin.post("/alerts/rules", json={**RULE, **change})
    expected = (404, "channel_unknown") if "channels" in change else (400, "request_invalid")
    assert problem(answer) == expected
    assert word in answer.json()["detail"]
    assert (await admin.get("/alerts/rules")).json()["items"] == []


async def test_a_silence_is_added_and_ended(there: Place) -> None:
    admin, operator = await there.login(Role.ADMIN), await there.login(Role.OPERATOR)
    rule = (await admin.post("/alerts/rules", json=RULE)).json()
    until = time.time() + 60
    made = await operator.post("/alerts/silences", json={"until": until, "rule_id": "busy", "comment": "at work"})
    assert made.status_code == 201, made.text
    silence = made.json()
    assert {**silence, "id": "", "created_at": 0} == {
        "id": "", "rule_id": rule["id"], "backend_id": None, "labels": {}, "until": until, "comment": "at work",
        "created_by": "op", "created_at": 0,
    }  # fmt: skip
    for body, expected in (
        ({"until": time.time() - 1}, (400, "request_invalid")),
        ({"until": time.time() + 400 * 86400}, (400, "request_invalid")),
        ({"until": until, "rule_id": "none"}, (404, "rule_unknown")),
        ({"until": until, "backend_id": "none"}, (404, "backend_unknown")),
    ):
        assert problem(await operator.post("/alerts/silences", json=body)) == expected
    assert (await operator.get("/alerts/silences")).json()["items"] == [silence]
    assert (await admin.delete(f"/alerts/silences/{silence['id']}")).status_code == 204
    assert problem(await admin.delete(f"/alerts/silences/{silence['id']}")) == (404, "silence_unknown")
    assert ("alert_silence_added", silence["id"], "success") in await actions(there)
    assert ("alert_silence_removed", silence["id"], "success") in await actions(there)
