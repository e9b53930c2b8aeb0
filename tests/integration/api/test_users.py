"""Users over REST."""

from __future__ import annotations

from typing import Any

import pytest

from harness.api import API, Place, problem
from harness.server import PASSWORD
from quix.store.users import Role

NEW = {"name": "ada", "role": "viewer", "password": "a good long password"}


async def test_a_new_user_can_log_in(there: Place) -> None:
    admin = await there.login(Role.ADMIN)
    made = await admin.post("/users", json=NEW)
    assert made.status_code == 201
    body = made.json()
    assert isinstance(body.pop("created_at"), float)
    assert body == {"name": "ada", "role": "viewer", "labels": {}}
    login = await there.web.post(f"{API}/login", json={"username": "ada", "password": NEW["password"]})
    assert login.json()["role"] == "viewer"


async def test_users_are_listed_by_name_without_their_secrets(there: Place) -> None:
    admin = await there.login(Role.ADMIN)
    users = (await admin.get("/users")).json()
    assert users["next"] is None
    assert [user["name"] for user in users["items"]] == ["gate", "op", "root", "watch"]
    assert all(set(user) == {"name", "role", "created_at", "labels"} for user in users["items"])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": ".."}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": 5}, "name"),
        ({"role": "king"}, "role"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 1025}, "password"),
        ({"admin": True}, "admin"),
    ],
)
async def test_what_will_not_do_is_named_and_adds_nobody(there: Place, change: dict[str, Any], field: str) -> None:
    admin = await there.login(Role.ADMIN)
    answer = await admin.post("/users", json=NEW | change)
    assert problem(answer) == (400, "request_invalid")
    assert field in answer.json()["detail"]
    assert len((await admin.get("/users")).json()["items"]) == 4


async def test_a_name_is_given_once(there: Place) -> None:
    admin = await there.login(Role.ADMIN)
    assert problem(await admin.post("/users", json=NEW | {"name": "op"})) == (409, "already_exists")


async def test_a_new_password_ends_the_logins_of_the_old(there: Place) -> None:
    admin, operator = await there.login(Role.ADMIN), await there.login(Role.OPERATOR)
    changed = await admin.patch("/users/op", json={"password": "another good password"})
    assert (changed.status_code, changed.json()["name"]) == (200, "op")
    assert problem(await operator.get("/me")) == (401, "token_invalid")
    old = await there.web.post(f"{API}/login", json={"username": "op", "password": PASSWORD})
    assert problem(old) == (401, "password_invalid")
    new = await there.web.post(f"{API}/login", json={"username": "op", "password": "another good password"})
    assert new.status_code == 200


async def test_a_new_role_holds_at_once(there: Place) -> None:
    admin, operator = await there.login(Role.ADMIN), await there.login(Role.OPERATOR)
    assert (await admin.patch("/users/op", json={"role": "admin"})).json()["role"] == "admin"
    assert (await operator.get("/users")).status_code == 200


@pytest.mark.parametrize("body", [{}, {"role": "viewer", "password": "another good password"}])
async def test_one_change_at_a_time(there: Place, body: dict[str, str]) -> None:
    admin = await there.login(Role.ADMIN)
    assert problem(await admin.patch("/users/op", json=body)) == (400, "request_invalid")
    assert (await there.login(Role.OPERATOR)) is not None


async def test_a_user_who_is_not_there(there: Place) -> None:
    admin = await there.login(Role.ADMIN)
    answers = [
        await admin.patch("/users/nobody", json={"role": "viewer"}),
        await admin.patch("/users/nobody", json={"password": "another good password"}),
        await admin.delete("/users/nobody"),
    ]
    assert [problem(answer) for answer in answers] == [(404, "user_unknown")] * 3


async def test_removing_a_user_ends_the_logins(there: Place) -> None:
    admin, viewer = await there.login(Role.ADMIN), await there.login(Role.VIEWER)
    assert (await admin.delete("/users/watch")).status_code == 204
    assert problem(await viewer.get("/me")) == (401, "token_invalid")


async def test_an_admin_stays(there: Place) -> None:
    admin = await there.login(Role.ADMIN)
    assert problem(await admin.delete("/users/root")) == (409, "last_admin")
    assert problem(await admin.patch("/users/root", json={"role": "viewer"})) == (409, "last_admin")
    assert (await admin.get("/me")).json()["role"] == "admin"
