"""The users of the store."""

from __future__ import annotations

import asyncio

import pytest

from harness.store import FakeClock, OpenStore
from quix.exits import Exit
from quix.store import Store
from quix.store.errors import AlreadyExistsError, LastAdminError
from quix.store.tokens import LOGIN
from quix.store.users import Role, User


async def test_a_user_is_found_by_name(store: Store, clock: FakeClock) -> None:
    added = await store.users.add("ada", Role.OPERATOR, "hash")
    assert added == User("ada", Role.OPERATOR, clock.now)
    assert await store.users.get("ada") == added
    assert await store.users.password_hash("ada") == "hash"
    assert await store.users.get("bob") is None
    assert await store.users.password_hash("bob") is None


async def test_a_name_is_given_once(store: Store) -> None:
    await store.users.add("ada", Role.VIEWER, "first")
    with pytest.raises(AlreadyExistsError, match="^a user named ada exists already$") as caught:
        await store.users.add("ada", Role.ADMIN, "second")
    assert caught.value.code is Exit.DATA
    assert await store.users.password_hash("ada") == "first"
    assert (await store.users.get("ada")).role is Role.VIEWER  # type: ignore[union-attr]


async def test_pages_follow_one_another_by_name(store: Store) -> None:
    for name in ("cy", "ada", "bob", "dee", "eve"):
        await store.users.add(name, Role.VIEWER, "hash")
    first = await store.users.page(None, 2)
    second = await store.users.page(first[-1].name, 2)
    third = await store.users.page(second[-1].name, 2)
    assert [user.name for user in first + second + third] == ["ada", "bob", "cy", "dee", "eve"]
    assert len(third) == 1
    assert await store.users.page("eve", 2) == []


async def test_removing_a_user_ends_the_logins(store: Store, clock: FakeClock) -> None:
    await store.users.add("ada", Role.VIEWER, "hash")
    await store.users.add("bob", Role.VIEWER, "hash")
    hers = await store.tokens.issue(LOGIN, "ada", 60, clock.now)
    his = await store.tokens.issue(LOGIN, "bob", 60, clock.now)
    assert await store.tokens.lookup(hers, LOGIN, clock.now) is not None
    assert await store.users.remove("ada") is True
    assert await store.users.get("ada") is None
    assert await store.tokens.lookup(hers, LOGIN, clock.now) is None
    assert await store.tokens.lookup(his, LOGIN, clock.now) is not None
    assert await store.users.remove("ada") is False


async def test_another_password_ends_the_logins(store: Store, clock: FakeClock) -> None:
    await store.users.add("ada", Role.VIEWER, "old")
    token = await store.tokens.issue(LOGIN, "ada", 60, clock.now)
    assert await store.tokens.lookup(token, LOGIN, clock.now) is not None
    assert await store.users.set_password("ada", "new") is True
    assert await store.users.password_hash("ada") == "new"
    assert await store.tokens.lookup(token, LOGIN, clock.now) is None
    assert await store.users.set_password("bob", "new") is False


async def test_rehashing_keeps_the_logins_and_a_newer_password(store: Store, clock: FakeClock) -> None:
    await store.users.add("ada", Role.VIEWER, "old")
    token = await store.tokens.issue(LOGIN, "ada", 60, clock.now)
    await store.users.rehash("ada", "old", "rehashed")
    assert await store.users.password_hash("ada") == "rehashed"
    await store.users.rehash("ada", "old", "too late")
    assert await store.users.password_hash("ada") == "rehashed"
    assert await store.tokens.lookup(token, LOGIN, clock.now) is not None


async def test_a_role_can_be_changed(store: Store) -> None:
    await store.users.add("ada", Role.VIEWER, "hash")
    assert await store.users.set_role("ada", Role.ADMIN) is True
    assert (await store.users.get("ada")).role is Role.ADMIN  # type: ignore[union-attr]
    assert await store.users.set_role("bob", Role.ADMIN) is False


async def test_the_last_admin_stays(store: Store) -> None:
    await store.users.add("ada", Role.ADMIN, "hash")
    await store.users.add("bob", Role.OPERATOR, "hash")
    with pytest.raises(LastAdminError, match="ada is the last admin"):
        await store.users.remove("ada")
    with pytest.raises(LastAdminError):
        await store.users.set_role("ada", Role.VIEWER)
    assert await store.users.set_role("ada", Role.ADMIN) is True
    assert await store.users.remove("bob") is True
    await store.users.add("cy", Role.ADMIN, "hash")
    assert await store.users.remove("ada") is True


async def test_two_admins_who_remove_each_other_leave_one(open_store: OpenStore) -> None:
    here, there = await open_store(), await open_store()
    await here.users.add("0", Role.ADMIN, "hash")
    admins = ["0"]
    for number in range(10):
        await here.users.add(f"x{number}", Role.ADMIN, "hash")
        done = await asyncio.gather(
            here.users.remove(admins[0]),
            there.users.set_role(f"x{number}", Role.VIEWER),
            return_exceptions=True,
        )
        assert sorted(type(outcome).__name__ for outcome in done) == ["LastAdminError", "bool"]
        admins = [user.name for user in await here.users.page(None, 100) if user.role is Role.ADMIN]
        assert len(admins) == 1
