"""Whatever goes wrong, the answer has one shape, and says nothing that is nobody's business."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from harness.api import API, Place, problem
from quix.api import login, users, vpn
from quix.store.users import Role

SECRET = "swordfish-swordfish"


async def test_a_path_that_there_is_not(there: Place) -> None:
    for path in ("/nothing", f"{API}/nothing", "/schema", f"{API}/backends/a%2Fb", "/docs", f"{API}/me/x"):
        assert problem(await there.web.get(path)) == (404, "not_found")


async def test_a_method_that_a_path_does_not_know(there: Place) -> None:
    answer = await there.web.put(f"{API}/users")
    assert problem(answer) == (405, "method_not_allowed")
    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))
    assert problem(await there.web.delete("/healthz")) == (405, "method_not_allowed")


async def test_a_path_behind_the_login_does_not_know_options(there: Place) -> None:
    answer = await there.web.options(f"{API}/users/x")
    assert problem(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "DELETE, PATCH"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b'{"username": "root", "password": "\\ud800"}',
        b'{"username": "root"} {}',
        b"[" * 10_000,
        b'{"username": "root", "password": "x", "more": ' + b"[" * 10_000,
        b"username=root&password=x",
    ],
)
async def test_a_body_that_cannot_be_read(there: Place, content: bytes) -> None:
    answer = await there.web.post(f"{API}/login", content=content)
    assert problem(answer) == (400, "request_invalid")
    assert answer.json()["detail"].startswith("body: ")


async def test_every_field_that_will_not_do_is_named(there: Place) -> None:
    answer = await there.web.post(f"{API}/login", json={"username": 5, "password": SECRET})
    assert problem(answer) == (400, "request_invalid")
    assert answer.json()["detail"].startswith("username: ")
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    "query",
    ["/backends?state=null", "/backends?label=null", "/audit?since=null", "/audit?action=NULL&user=x"],
)
async def test_null_in_a_query_is_no_value_that_is_left_out(there: Place, query: str) -> None:
    admin = await there.login(Role.ADMIN)
    answer = await admin.get(query)
    assert problem(answer) == (400, "request_invalid")
    assert answer.json()["detail"].endswith(": it must not be null; leave it out")


async def test_null_may_be_a_text(there: Place) -> None:
    async with there.agent(lambda _req, _msg: None, "null"):
        admin = await there.login(Role.ADMIN)
        assert [each["name"] for each in (await admin.get("/backends?search=null")).json()["items"]] == ["null"]
        assert (await admin.get("/audit?user=null")).json()["items"] == []


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_a_mebibyte(there: Place, *, chunked: bool) -> None:
    admin = await there.login(Role.ADMIN)
    body = json.dumps({"name": "x" * 2**20}).encode()

    async def chunks() -> Any:
        for start in range(0, len(body), 65536):
            yield body[start : start + 65536]

    answer = await admin.post("/backends", content=chunks() if chunked else body)
    assert problem(answer) == (413, "body_too_large")
    assert (await there.web.get("/healthz")).status_code == 200


async def test_a_body_of_nearly_a_mebibyte_is_read(there: Place) -> None:
    admin = await there.login(Role.ADMIN)
    answer = await admin.post("/backends", json={"name": "x" * (2**20 - 100)})
    assert problem(answer) == (400, "request_invalid")


async def test_a_command_that_fits_in_no_message_is_not_sent(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    async with there.agent(lambda _req, _msg: None) as agent:
        # Within the limit of a body, and over that of a message with its envelope around it.
        body = b'{"cmd":["true","' + b"x" * (2**20 - 20) + b'"]}'
        answer = await operator.post(f"/backends/{agent.id}/processes", content=body)
        assert problem(answer) == (422, "request_invalid")
        assert (await operator.get(f"/backends/{agent.id}")).json()["connected"]
        assert agent.asked == []


async def test_a_fault_of_the_server_is_in_its_log_alone(there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = await there.login(Role.VIEWER)

    async def broken(*_arguments: object) -> None:
        raise ValueError(SECRET)

    monkeypatch.setattr(there.control.store.search, "page", broken)
    with capture_logs() as logs:
        answer = await viewer.get("/backends")
    assert problem(answer) == (500, "internal_error")
    assert SECRET not in answer.text
    assert "Traceback" not in answer.text
    (line,) = [line for line in logs if line["event"] == "request failed"]
    assert (line["method"], line["path"]) == ("GET", f"{API}/backends")
    assert str(line["exc_info"]) == SECRET
    assert (await viewer.get("/me")).status_code == 200


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_fault(there: Place) -> None:
    host, port = there.url.removeprefix("http://").split(":")
    with capture_logs() as logs:
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"POST {API}/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
        await writer.drain()
        assert (await there.web.get("/healthz")).status_code == 200
        writer.close()
        await writer.wait_closed()
        assert (await there.web.get("/healthz")).status_code == 200
        # Closing the door waits for every request, the broken-off one too.
        await there.close()
    assert [line for line in logs if line["log_level"] == "error"] == []


def test_no_body_shows_its_secret_when_it_is_printed() -> None:
    printed = [
        login.Credentials("root", SECRET),
        login.Login(SECRET, 60, "root", Role.ADMIN),
        users.NewUser("ada", Role.VIEWER, SECRET),
        users.UserChange(password=SECRET),
        vpn.Configuration("wireguard", SECRET),
    ]
    assert SECRET not in repr(printed)


async def test_a_database_that_does_not_answer_is_503(there: Place) -> None:
    viewer = await there.login(Role.VIEWER)
    await there.control.store.close()
    assert problem(await viewer.get("/backends")) == (503, "unavailable")
    assert (await there.web.get("/healthz")).status_code == 200


async def test_no_answer_is_kept_or_guessed_at(there: Place) -> None:
    viewer = await there.login(Role.VIEWER)
    answers = [
        await there.web.get("/"),
        await there.web.get("/healthz"),
        await there.web.get("/nothing"),
        await there.web.put(f"{API}/users"),
        await there.web.get(f"{API}/me"),
        await there.web.post(f"{API}/login", content=b"{"),
        await viewer.get("/me"),
        await viewer.get("/backends/none"),
    ]
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"enabled": 0}, "enabled: "),
        ({"enabled": "no"}, "enabled: "),
        ({"threshold": "5"}, "threshold: "),
        ({"for": "60"}, "for: "),
        ({"labels": {"site": 5}}, "labels"),
    ],
)
async def test_nothing_is_bent_into_what_was_asked_for(there: Place, change: dict[str, Any], said: str) -> None:
    admin = await there.login(Role.ADMIN)
    body = {"name": "busy", "metric": "cpu", "threshold": 90, **change}
    answer = await admin.post("/alerts/rules", json=body)
    assert problem(answer) == (400, "request_invalid")
    assert answer.json()["detail"].startswith(said)


async def test_a_whole_number_may_have_a_point(there: Place) -> None:
    """To JSON Schema 5.0 is an integer."""
    admin = await there.login(Role.ADMIN)
    answer = await admin.post("/tokens", json={"name": "ci", "role": "viewer", "validity": 3600.0})
    assert answer.status_code == 201
