"""Browsers log in with a cookie that scripts cannot read and other sites cannot use."""

from __future__ import annotations

from http.cookies import Morsel, SimpleCookie
from typing import Any

import httpx
import pytest

from harness.api import API, LOGINS, Place, problem
from harness.server import PASSWORD
from quix.store.users import Role

MARK = {"X-Quix-Console": "1"}


async def browser_login(
    there: Place, role: Role = Role.ADMIN, headers: dict[str, str] | None = None
) -> tuple[httpx.Response, Morsel[str]]:
    """Log in; return the answer, and the cookie that it sets."""
    body = {"username": LOGINS[role], "password": PASSWORD}
    answer = await there.web.post(f"{API}/login/browser", json=body, headers={**MARK, **(headers or {})})
    assert answer.status_code == 200, answer.text
    there.web.cookies.clear()  # each request shows by itself what it is sent with
    (morsel,) = SimpleCookie(answer.headers["set-cookie"]).values()
    return answer, morsel


def shown(cookie: Morsel[str], **headers: str) -> dict[str, Any]:
    return {"headers": {"Cookie": f"{cookie.key}={cookie.value}", **headers}}


async def test_the_token_is_in_the_cookie_and_nowhere_else(there: Place) -> None:
    answer, cookie = await browser_login(there, Role.VIEWER)
    assert answer.json() == {"username": "watch", "role": "viewer", "validity": 12 * 3600}
    assert cookie.key == "quix-login"
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "strict", "/")
    assert cookie["max-age"] == str(12 * 3600)
    assert cookie["domain"] == ""
    assert not cookie["secure"]
    me = await there.web.get(f"{API}/me", **shown(cookie))
    assert me.json() == {"username": "watch", "role": "viewer", "labels": [], "backends": None}


async def test_behind_tls_the_cookie_stays_behind_tls(there: Place) -> None:
    _, cookie = await browser_login(there, headers={"Origin": "https://quix.example"})
    assert cookie.key == "__Host-quix-login"
    assert cookie["secure"]
    assert (await there.web.get(f"{API}/me", **shown(cookie))).status_code == 200


async def test_a_wrong_password_sets_no_cookie(there: Place) -> None:
    body = {"username": "root", "password": "wrong password"}
    answer = await there.web.post(f"{API}/login/browser", json=body, headers=MARK)
    assert problem(answer) == (401, "password_invalid")
    assert "set-cookie" not in answer.headers


async def test_another_site_cannot_log_a_browser_in(there: Place) -> None:
    body = {"username": "root", "password": PASSWORD}
    answer = await there.web.post(f"{API}/login/browser", json=body, headers={"Origin": "https://evil.example"})
    assert problem(answer) == (401, "not_authenticated")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("mark", [{}, {"X-Quix-Console": ""}, {"X-Quix-Console": "0"}])
async def test_the_cookie_alone_changes_nothing(there: Place, mark: dict[str, str]) -> None:
    _, cookie = await browser_login(there)
    new = {"name": "eve", "role": "admin", "password": "eve's password"}
    answer = await there.web.post(f"{API}/users", json=new, **shown(cookie, **mark))
    assert problem(answer) == (401, "not_authenticated")
    assert "x-quix-console" in answer.json()["detail"]
    assert await there.control.store.users.get("eve") is None


async def test_the_console_changes_things(there: Place) -> None:
    _, cookie = await browser_login(there)
    new = {"name": "ada", "role": "viewer", "password": "ada's password"}
    assert (await there.web.post(f"{API}/users", json=new, **shown(cookie, **MARK))).status_code == 201


async def test_no_other_origin_is_let_in_by_a_preflight(there: Place) -> None:
    asked = {
        "Origin": "https://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-quix-console,content-type",
    }
    for path in ("/users", "/login/browser"):
        answer = await there.web.options(f"{API}{path}", headers=asked)
        assert not any(name.startswith("access-control-") for name in answer.headers)


async def test_a_bearer_counts_before_the_cookie(there: Place) -> None:
    _, cookie = await browser_login(there)
    answer = await there.web.get(f"{API}/me", **shown(cookie, Authorization="Bearer " + "x" * 43))
    assert problem(answer) == (401, "token_invalid")


async def test_logging_out_ends_the_token_and_the_cookie(there: Place) -> None:
    _, cookie = await browser_login(there)
    answer = await there.web.post(f"{API}/logout", **shown(cookie, **MARK))
    assert answer.status_code == 204
    (ended,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert (ended.key, ended.value, ended["max-age"]) == ("quix-login", "", "0")
    assert problem(await there.web.get(f"{API}/me", **shown(cookie))) == (401, "token_invalid")


async def test_guessing_is_slowed_down_here_too(there: Place) -> None:
    body = {"username": "root", "password": "wrong password"}
    for path in ["/login/browser", "/login"] * 3:
        answer = await there.web.post(f"{API}{path}", json=body, headers=MARK)
        assert problem(answer) == (401, "password_invalid")
    assert problem(await there.web.post(f"{API}/login/browser", json=body, headers=MARK)) == (429, "rate_limited")
