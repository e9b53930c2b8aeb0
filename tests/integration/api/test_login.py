"""Logging in and out over HTTP."""

from __future__ import annotations

import pytest

from harness.api import API, LOGINS, Place, problem
from harness.server import PASSWORD
from quix.store.users import Role


@pytest.mark.parametrize("role", [Role.ADMIN, Role.OPERATOR, Role.VIEWER])
async def test_a_password_gives_a_token(there: Place, role: Role) -> None:
    answer = await there.web.post(f"{API}/login", json={"username": LOGINS[role], "password": PASSWORD})
    assert answer.status_code == 200
    body = answer.json()
    token = body.pop("token")
    assert body == {"validity": 12 * 3600, "username": LOGINS[role], "role": role.value}
    me = await (await there.bearer(token)).get("/me")
    assert me.json() == {"username": LOGINS[role], "role": role.value, "labels": [], "backends": None}


@pytest.mark.parametrize("name", ["root", "nobody", "", "../root", "x" * 5000, "\x00"])
async def test_a_wrong_password_and_an_unknown_user_are_one_answer(there: Place, name: str) -> None:
    answer = await there.web.post(f"{API}/login", json={"username": name, "password": "wrong password"})
    assert problem(answer) == (401, "password_invalid")
    assert answer.headers["www-authenticate"] == 'Bearer realm="quix"'
    assert answer.json()["detail"] == "The user is unknown or the password is wrong."


async def test_an_enroller_cannot_log_in(there: Place) -> None:
    answer = await there.web.post(f"{API}/login", json={"username": "gate", "password": PASSWORD})
    assert problem(answer) == (403, "permission_denied")


async def test_guessing_is_slowed_down(there: Place) -> None:
    body = {"username": "root", "password": "wrong password"}
    for _ in range(6):
        assert problem(await there.web.post(f"{API}/login", json=body)) == (401, "password_invalid")
    assert problem(await there.web.post(f"{API}/login", json=body)) == (429, "rate_limited")


async def test_headers_that_name_another_address_give_no_fresh_guesses(there: Place) -> None:
    body = {"username": "root", "password": "wrong password"}
    statuses = []
    for n in range(7):
        headers = {"X-Forwarded-For": f"192.0.2.{n}", "Forwarded": f"for=192.0.2.{n}", "X-Real-IP": f"192.0.2.{n}"}
        statuses.append((await there.web.post(f"{API}/login", json=body, headers=headers)).status_code)
    assert statuses == [401] * 6 + [429]


async def test_logging_out_ends_that_token_alone(there: Place) -> None:
    one, two = await there.login(Role.VIEWER), await there.login(Role.VIEWER)
    assert (await one.post("/logout")).status_code == 204
    assert problem(await one.get("/me")) == (401, "token_invalid")
    assert (await two.get("/me")).status_code == 200


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic cm9vdDpwdw==", "token"])
async def test_without_a_bearer_token_one_is_asked_for(there: Place, header: str | None) -> None:
    answer = await there.web.get(f"{API}/me", headers={} if header is None else {"Authorization": header})
    assert problem(answer) == (401, "not_authenticated")
    assert answer.headers["www-authenticate"] == 'Bearer realm="quix"'


async def test_an_unknown_token_is_said_to_be_one(there: Place) -> None:
    answer = await (await there.bearer("x" * 43)).get("/me")
    assert problem(answer) == (401, "token_invalid")
    assert answer.headers["www-authenticate"] == 'Bearer realm="quix", error="invalid_token"'


async def test_the_scheme_may_be_written_in_any_case(there: Place) -> None:
    operator = await there.login(Role.VIEWER)
    token = operator.headers["authorization"].split()[1]
    assert (await there.web.get(f"{API}/me", headers={"Authorization": f"bEARER {token}"})).status_code == 200
