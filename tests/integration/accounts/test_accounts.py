"""Passwords and logins, with real hashes on a real store."""

from __future__ import annotations

import asyncio
import statistics
import time

import pytest
from argon2 import PasswordHasher

from harness.store import FakeClock
from quix.exits import Exit, QuixError
from quix.server import accounts as module
from quix.server.accounts import Accounts, Role, can_administer, can_enroll, can_operate, can_read
from quix.server.caller import Caller
from quix.server.throttle import PAIR_LIMIT
from quix.store import Store
from quix.store.errors import AlreadyExistsError
from quix.store.tokens import BACKEND
from quix.wire.reasons import Reason, Refusal

HERE, THERE = "192.0.2.1", "198.51.100.9"
PASSWORD = "correct horse"


async def refusal(awaitable: object) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await awaitable  # type: ignore[misc]
    return caught.value


def named(caller: Caller | None) -> tuple[str, Role] | None:
    return None if caller is None else (caller.name, caller.role)


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.ADMIN, {can_read, can_operate, can_administer, can_enroll}),
        (Role.OPERATOR, {can_read, can_operate, can_enroll}),
        (Role.VIEWER, {can_read}),
        (Role.ENROLLER, {can_enroll}),
    ],
)
def test_what_each_role_may_do(role: Role, may: set[object]) -> None:
    assert {ask for ask in (can_read, can_operate, can_administer, can_enroll) if ask(role)} == may


# -- passwords ------------------------------------------------------------------------------------


async def test_the_right_password_gives_the_user(accounts: Accounts) -> None:
    ada = await accounts.add_user("ada", Role.ENROLLER, PASSWORD)
    assert await accounts.check("ada", PASSWORD, HERE) == ada


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("ada", "wrong password"),
        ("ada", ""),
        ("ada", PASSWORD + "\0"),
        ("ada", PASSWORD + "x" * 2**20),
        ("Ada", PASSWORD),
        ("bob", PASSWORD),
        ("", PASSWORD),
        ("ada\n", PASSWORD),
        ("a" * 2**20, PASSWORD),
    ],
)
async def test_any_other_pair_is_the_same_refusal(accounts: Accounts, username: str, password: str) -> None:
    await accounts.add_user("ada", Role.ADMIN, PASSWORD)
    refused = await refusal(accounts.check(username, password, HERE))
    assert refused.reason is Reason.PASSWORD_INVALID
    assert refused.detail == Reason.PASSWORD_INVALID.sentence


@pytest.mark.parametrize("password", ["8 letter", "x" * 1024, "pässwörd \U0001f511", "latin \udce4 in a file"])
async def test_passwords_of_every_kind(accounts: Accounts, password: str) -> None:
    await accounts.add_user("ada", Role.ADMIN, password)
    assert (await accounts.check("ada", password, HERE)).name == "ada"
    assert (await refusal(accounts.check("ada", password + "x", HERE))).reason is Reason.PASSWORD_INVALID


async def test_an_unknown_user_costs_the_same_work(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts._throttle, "failed", lambda *_: None)
    await accounts.add_user("ada", Role.ADMIN, PASSWORD)

    async def cost(username: str) -> float:
        costs = []
        for _ in range(9):
            started = time.process_time()
            await refusal(accounts.check(username, "wrong password", HERE))
            costs.append(time.process_time() - started)
        return statistics.median(costs)

    await cost("ada")
    known, unknown = await cost("ada"), await cost("nobody")
    assert 0.6 < unknown / known < 1.6


async def test_what_is_stored_is_argon2id(accounts: Accounts, store: Store) -> None:
    await accounts.add_user("ada", Role.ADMIN, PASSWORD)
    await accounts.add_user("bob", Role.ADMIN, PASSWORD)
    hashes = [await store.users.password_hash(name) or "" for name in ("ada", "bob")]
    assert all(each.startswith("$argon2id$v=19$m=19456,t=2,p=1$") for each in hashes)
    assert hashes[0] != hashes[1], "each has its own salt"


async def test_a_hash_of_other_parameters_is_renewed_and_logins_last(accounts: Accounts, store: Store) -> None:
    await store.users.add("ada", Role.ADMIN, PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD))
    login = await accounts.login("ada", PASSWORD, HERE)
    renewed = await store.users.password_hash("ada")
    assert renewed is not None
    assert "m=19456,t=2,p=1" in renewed
    assert await accounts.caller(login.token) is not None
    await accounts.check("ada", PASSWORD, HERE)
    assert await store.users.password_hash("ada") == renewed


async def test_the_loop_goes_on_while_passwords_are_hashed(accounts: Accounts) -> None:
    await accounts.add_user("ada", Role.ADMIN, PASSWORD)
    checks = asyncio.gather(*(accounts.check("ada", PASSWORD, HERE) for _ in range(10)))
    longest = 0.0
    while not checks.done():
        started = time.thread_time()
        await asyncio.sleep(0.001)
        longest = max(longest, time.thread_time() - started)
    await checks
    # A hash takes some 30 ms of CPU: none of that on this thread.
    assert longest < 0.015


# -- too many -------------------------------------------------------------------------------------


async def test_guessing_is_slowed_down_there_and_not_elsewhere(accounts: Accounts, clock: FakeClock) -> None:
    await accounts.add_user("ada", Role.ADMIN, PASSWORD)
    for _ in range(PAIR_LIMIT.free + 1):
        assert (await refusal(accounts.check("ada", "wrong", HERE))).reason is Reason.PASSWORD_INVALID
    refused = await refusal(accounts.check("ada", PASSWORD, HERE))
    assert refused.reason is Reason.RATE_LIMITED
    assert refused.detail == "too many failed attempts; wait 1 s"
    assert (await accounts.check("ada", PASSWORD, THERE)).name == "ada"
    clock.now += 1
    assert (await accounts.check("ada", PASSWORD, HERE)).name == "ada"
    assert (await refusal(accounts.check("ada", "wrong", HERE))).reason is Reason.PASSWORD_INVALID
    assert (await accounts.check("ada", PASSWORD, HERE)).name == "ada", "the success began a new count"


async def test_an_unknown_user_is_slowed_down_just_the_same(accounts: Accounts) -> None:
    reasons = [(await refusal(accounts.check("nobody", "wrong", HERE))).reason for _ in range(PAIR_LIMIT.free + 2)]
    assert reasons == [Reason.PASSWORD_INVALID] * (PAIR_LIMIT.free + 1) + [Reason.RATE_LIMITED]


async def test_a_burst_is_no_way_round_the_throttle(accounts: Accounts) -> None:
    await accounts.add_user("ada", Role.ADMIN, PASSWORD)
    reasons = [
        refused.reason
        for refused in await asyncio.gather(*(refusal(accounts.check("ada", f"guess {n}", HERE)) for n in range(60)))
    ]
    looked_at = reasons.count(Reason.PASSWORD_INVALID)
    assert PAIR_LIMIT.free < looked_at <= PAIR_LIMIT.free + module.WORKERS
    assert reasons.count(Reason.RATE_LIMITED) == 60 - looked_at


async def test_a_fleet_behind_one_address_enrols_at_once(accounts: Accounts) -> None:
    await accounts.add_user("enroller", Role.ENROLLER, PASSWORD)
    users = await asyncio.gather(*(accounts.check("enroller", PASSWORD, HERE) for _ in range(100)))
    assert len(users) == 100


async def test_the_queue_is_bounded(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PENDING", 4)
    await accounts.add_user("ada", Role.ADMIN, PASSWORD)
    outcomes = await asyncio.gather(*(accounts.check("ada", PASSWORD, HERE) for _ in range(7)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    assert [each.reason for each in refused] == [Reason.UNAVAILABLE] * 3
    assert "too many passwords" in refused[0].detail
    assert (await accounts.check("ada", PASSWORD, HERE)).name == "ada", "and it empties"


async def test_giving_up_frees_the_place(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PENDING", 3)
    await accounts.add_user("ada", Role.ADMIN, PASSWORD)
    for _ in range(3):
        tasks = [asyncio.create_task(accounts.check("ada", PASSWORD, HERE)) for _ in range(3)]
        await asyncio.sleep(0.005)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert (await accounts.check("ada", PASSWORD, HERE)).name == "ada"


# -- logins ---------------------------------------------------------------------------------------


async def test_a_login_lasts_for_its_validity(accounts: Accounts, clock: FakeClock) -> None:
    ada = await accounts.add_user("ada", Role.VIEWER, PASSWORD)
    login = await accounts.login("ada", PASSWORD, HERE)
    assert (login.user, login.validity) == (ada, 600)
    assert login.token not in repr(login)
    assert named(await accounts.caller(login.token)) == ("ada", ada.role)
    clock.now += 599
    assert named(await accounts.caller(login.token)) == ("ada", ada.role)
    clock.now += 1
    assert await accounts.caller(login.token) is None


async def test_a_wrong_password_is_no_login(accounts: Accounts) -> None:
    await accounts.add_user("ada", Role.ADMIN, PASSWORD)
    assert (await refusal(accounts.login("ada", "wrong password", HERE))).reason is Reason.PASSWORD_INVALID


async def test_an_enroller_opens_no_operators_door(accounts: Accounts, store: Store) -> None:
    await accounts.add_user("enroller", Role.ENROLLER, PASSWORD)
    refused = await refusal(accounts.login("enroller", PASSWORD, HERE))
    assert refused.reason is Reason.PERMISSION_DENIED
    assert refused.detail == "enroller has the role enroller, which only enrols"


async def test_the_role_of_a_login_is_that_of_today(accounts: Accounts, store: Store) -> None:
    await accounts.add_user("ada", Role.ADMIN, PASSWORD)
    await accounts.add_user("bob", Role.ADMIN, PASSWORD)
    token = (await accounts.login("ada", PASSWORD, HERE)).token
    await store.users.set_role("ada", Role.VIEWER)
    user = await accounts.caller(token)
    assert user is not None
    assert user.role is Role.VIEWER
    await store.users.set_role("ada", Role.ENROLLER)
    assert await accounts.caller(token) is None


async def test_logging_out_ends_one_login(accounts: Accounts) -> None:
    await accounts.add_user("ada", Role.ADMIN, PASSWORD)
    first, second = [(await accounts.login("ada", PASSWORD, HERE)).token for _ in range(2)]
    assert await accounts.logout(first) is True
    assert await accounts.caller(first) is None
    assert await accounts.caller(second) is not None
    assert await accounts.logout(first) is False


async def test_a_backends_token_is_no_login_and_cannot_be_logged_out(
    accounts: Accounts, store: Store, clock: FakeClock
) -> None:
    await accounts.add_user("ada", Role.ADMIN, PASSWORD)
    token = await store.tokens.issue(BACKEND, "ada", 60, clock.now)
    assert await accounts.caller(token) is None
    assert await accounts.logout(token) is False
    assert await store.tokens.lookup(token, BACKEND, clock.now) is not None


async def test_a_login_that_races_with_a_new_password(accounts: Accounts) -> None:
    """Whatever comes first: once the password is changed, no login that used the old one is in force."""
    await accounts.add_user("ada", Role.ADMIN, PASSWORD)
    old = PASSWORD
    for number in range(8):
        new = f"password {number}"
        login = asyncio.create_task(accounts.login("ada", old, HERE))
        await asyncio.sleep(0.004 * number)
        await accounts.set_password("ada", new)
        outcome = (await asyncio.gather(login, return_exceptions=True))[0]
        if isinstance(outcome, Refusal):
            assert outcome.reason is Reason.PASSWORD_INVALID
        else:
            assert not isinstance(outcome, BaseException)
            assert await accounts.caller(outcome.token) is None
        await accounts.check("ada", new, HERE)
        old = new


async def test_a_login_of_a_user_who_is_removed_meanwhile(
    accounts: Accounts, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await accounts.add_user("ada", Role.VIEWER, PASSWORD)
    issue = store.credentials.issue
    issued = []

    async def issue_late(*arguments: object) -> str:
        await store.users.remove("ada")
        issued.append(await issue(*arguments))  # type: ignore[arg-type]
        return issued[-1]

    monkeypatch.setattr(store.credentials, "issue", issue_late)
    assert (await refusal(accounts.login("ada", PASSWORD, HERE))).reason is Reason.PASSWORD_INVALID
    await accounts.add_user("ada", Role.ADMIN, PASSWORD)
    assert await accounts.caller(issued[0]) is None, "the next one of that name does not get the login"


# -- users ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", " ", "a b", "ada/", "ä", "a\n", ".", "..", "a" * 65, "a\0", "%61"])
async def test_a_name_that_will_not_do(accounts: Accounts, name: str) -> None:
    with pytest.raises(QuixError, match=r"^name: ") as caught:
        await accounts.add_user(name, Role.VIEWER, PASSWORD)
    assert caught.value.code is Exit.DATA


@pytest.mark.parametrize("name", ["a", "a" * 64, "Ada_Lovelace-1.2", "-", "..."])
async def test_a_name_that_will_do(accounts: Accounts, name: str) -> None:
    await accounts.add_user(name, Role.VIEWER, PASSWORD)
    assert (await accounts.check(name, PASSWORD, HERE)).name == name


@pytest.mark.parametrize("password", ["", "7 chars", "x" * 1025])
async def test_a_password_that_will_not_do(accounts: Accounts, store: Store, password: str) -> None:
    await accounts.add_user("bob", Role.VIEWER, PASSWORD)
    for awaitable in (accounts.add_user("ada", Role.VIEWER, password), accounts.set_password("bob", password)):
        with pytest.raises(QuixError, match="^password: 8 to 1024 characters are needed$") as caught:
            await awaitable
        assert caught.value.code is Exit.DATA
    assert await store.users.get("ada") is None
    assert (await accounts.check("bob", PASSWORD, HERE)).name == "bob"


async def test_a_user_is_added_once(accounts: Accounts) -> None:
    await accounts.add_user("ada", Role.VIEWER, PASSWORD)
    with pytest.raises(AlreadyExistsError):
        await accounts.add_user("ada", Role.ADMIN, "another password")


async def test_a_new_password_replaces_the_old_one(accounts: Accounts) -> None:
    await accounts.add_user("ada", Role.VIEWER, PASSWORD)
    token = (await accounts.login("ada", PASSWORD, HERE)).token
    assert await accounts.set_password("ada", "another password") is True
    assert await accounts.caller(token) is None
    assert (await refusal(accounts.check("ada", PASSWORD, HERE))).reason is Reason.PASSWORD_INVALID
    assert (await accounts.check("ada", "another password", HERE)).name == "ada"
    assert await accounts.set_password("bob", "another password") is False
