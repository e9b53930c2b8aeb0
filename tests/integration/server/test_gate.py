"""Who is let in, as whom, and for how long: over real sockets, on a real store."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest

from harness.server import PASSWORD, door
from quix.store import tokens
from quix.store.search import Sought
from quix.store.tokens import new_token


async def test_each_enrolment_makes_a_new_backend(tmp_path: Path) -> None:
    async with door(tmp_path) as here, here.client() as one, here.client() as two:
        first, second = await one.enroll(), await two.enroll()
        assert set(first) == {"success", "token", "validity"}
        assert first["success"] is True
        assert first["validity"] == 86400
        assert first["token"] != second["token"]
        assert len(here.control.fleet) == 2
        assert len(await here.control.store.search.page(Sought(), None, 10)) == 2


async def test_a_backend_is_kept_with_its_token_or_not_at_all(tmp_path: Path) -> None:
    async with door(tmp_path) as here, here.client() as client:
        await asyncio.to_thread(_refuse_tokens, tmp_path)
        assert (await client.enroll())["reason"] == "internal_error"
        assert not await here.control.store.search.page(Sought(), None, 10)
        assert len(here.control.fleet) == 0


async def test_one_that_leaves_while_it_is_let_in_is_not_connected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with door(tmp_path) as here, here.client() as client:

        def made() -> tuple[str, bytes]:
            client.connection.transport.abort()
            return new_token()

        monkeypatch.setattr(tokens, "new_token", made)
        await client.send("authenticate", {"username": "gate", "password": PASSWORD}, auth=None)
        number = here.control.metrics.registry.get_sample_value
        async with asyncio.timeout(10):
            # Let in or not, as soon as it is noticed that it has left.
            while not any(
                number("quix_authentications_total", {"outcome": each}) for each in ("unavailable", "enrolled")
            ):
                await asyncio.sleep(0.01)
            while number("quix_sockets_open") or len(here.control.fleet):
                await asyncio.sleep(0.01)


async def test_a_token_resumes_the_same_backend_with_the_time_that_remains(tmp_path: Path) -> None:
    async with door(tmp_path, token_validity=100) as here:
        async with here.client() as client:
            token = (await client.enroll())["token"]
            backend = next(iter(here.control.fleet)).backend_id
        async with here.client() as client:
            answer = await client.resume(token)
            assert set(answer) == {"success", "validity"}
            assert answer["validity"] in (98, 99)
            assert [session.backend_id for session in here.control.fleet] == [backend]


async def test_a_token_survives_a_restart_of_the_server(tmp_path: Path) -> None:
    async with door(tmp_path) as here, here.client() as client:
        token = (await client.enroll())["token"]
    async with door(tmp_path) as here, here.client() as client:
        assert (await client.resume(token))["success"] is True


async def test_the_older_connection_of_a_token_is_closed_before_the_newer_is_answered(tmp_path: Path) -> None:
    async with door(tmp_path) as here, here.client() as old, here.client() as new:
        token = (await old.enroll())["token"]
        session = next(iter(here.control.fleet))
        assert (await new.resume(token))["success"] is True
        assert not session.connection.is_open
        assert (await old.closed())[0] == 4001
        assert len(here.control.fleet) == 1
        assert here.control.fleet.session(session.backend_id) is not session


@pytest.mark.parametrize("name", ["gate", "nobody", "../gate", ""])
async def test_an_unknown_user_and_a_wrong_password_are_one_answer(tmp_path: Path, name: str) -> None:
    async with door(tmp_path) as here, here.client() as client:
        assert await client.enroll(name, "wrong password") == {"success": False, "reason": "password_invalid"}
        # The connection may try again, and is a backend's once it succeeds.
        assert (await client.enroll())["success"] is True


async def test_a_viewer_may_not_enrol(tmp_path: Path) -> None:
    async with door(tmp_path) as here, here.client() as client:
        assert await client.enroll("watch") == {"success": False, "reason": "enroll_denied"}
        assert not await here.control.store.search.page(Sought(), None, 10)


@pytest.mark.parametrize("token", ["", "unknown", "\0", "x" * 5000, "ü"])
async def test_a_token_that_nobody_has_is_invalid(tmp_path: Path, token: str) -> None:
    async with door(tmp_path) as here, here.client() as client:
        assert await client.resume(token) == {"success": False, "reason": "token_invalid"}


@pytest.mark.parametrize("missing", ["username", "password"])
async def test_a_field_that_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    async with door(tmp_path) as here, here.client() as client:
        msg = {"username": "gate", "password": PASSWORD}
        del msg[missing]
        answer = await client.ask("authenticate", msg, auth=None)
        assert answer["reason"] == "request_invalid"
        assert answer["detail"].startswith(f"msg.{missing}: ")


async def test_silence_before_authentication_is_closed_1008(tmp_path: Path) -> None:
    async with door(tmp_path, auth_timeout=0.2) as here, here.client() as client:
        assert await client.closed() == (1008, "not authenticated in time")


async def test_a_token_that_ends_closes_its_connection_4002(tmp_path: Path) -> None:
    async with door(tmp_path, token_validity=1) as here:
        async with here.client() as client:
            token = (await client.enroll())["token"]
            assert await client.closed() == (4002, "the token has expired")
            assert len(here.control.fleet) == 0
        async with here.client() as client:
            assert await client.resume(token) == {"success": False, "reason": "token_invalid"}


async def test_extensions_are_agreed_only_where_the_subprotocol_was(tmp_path: Path) -> None:
    offer = {"agent": 3, "token": 1, "time_travel": 1, "process": 0}
    async with door(tmp_path) as here:
        async with here.client(extend=True) as client:
            assert (await client.enroll(extensions=offer))["extensions"] == {"agent": 1, "token": 1}
        async with here.client() as client:
            assert "extensions" not in await client.enroll(extensions=offer)
            assert (await client.ask("renew_token", {}))["reason"] == "request_unknown"


async def test_a_renewed_token_replaces_the_old_one_once_it_is_used(tmp_path: Path) -> None:
    async with door(tmp_path, token_validity=50) as here:
        async with here.client(extend=True) as client:
            old = (await client.enroll(extensions={"token": 1}))["token"]
            renewed = await client.ask("renew_token", {})
            assert renewed["result"] == "success"
            new = renewed["token"]
        async with here.client() as client:
            assert (await client.resume(old))["success"] is True, "the answer may have been lost"
        async with here.client() as client:
            assert (await client.resume(new))["validity"] > 45
        await here.control.store.tokens.close()
        async with here.client() as client:
            assert (await client.resume(old))["reason"] == "token_invalid"
        assert len(await here.control.store.search.page(Sought(), None, 10)) == 1


async def test_facts_are_kept_and_name_the_backend(tmp_path: Path) -> None:
    facts = {
        "name": "web-1", "hostname": "web-1.example.org", "os": "Debian", "kernel": "6.1", "arch": "x86_64",
        "agent_version": "0.1.0", "boot_id": "b", "labels": {"role": "web"},
    }  # fmt: skip
    async with door(tmp_path) as here, here.client(extend=True) as client:
        await client.enroll(extensions={"agent": 1})
        assert await client.ask("agent_facts", facts) == {"result": "success"}
        [backend] = await here.control.store.backends.find("web-1")
        assert backend.facts is not None
        assert backend.facts.labels == {"role": "web"}
        for odd in ({"labels": {"": "x"}}, {"labels": {"a": "\x1b[2J"}}, {"name": "two\nlines"}, {"hostname": "\0"}):
            answer = await client.ask("agent_facts", {**facts, **odd})
            assert answer["reason"] == "request_invalid"
            assert answer["detail"].startswith(f"msg.{next(iter(odd))}")


async def test_another_token_in_a_later_request_is_refused(tmp_path: Path) -> None:
    async with door(tmp_path) as here, here.client() as client:
        token = (await client.enroll())["token"]
        assert (await client.ask("get_vpn_conf", {"conf_type": "x"}, auth="other"))["reason"] == "token_invalid"
        assert (await client.ask("get_vpn_conf", {"conf_type": "x"}, auth=token))["reason"] == "conf_type_unknown"
        assert (await client.ask("get_vpn_conf", {"conf_type": "x"}))["reason"] == "conf_type_unknown"


async def test_a_second_authentication_on_one_connection_is_invalid(tmp_path: Path) -> None:
    async with door(tmp_path) as here, here.client() as client:
        await client.enroll()
        answer = await client.enroll()
        assert (answer["success"], answer["reason"]) == (False, "request_invalid")


async def test_failures_are_throttled_and_tokens_are_not(tmp_path: Path) -> None:
    async with door(tmp_path) as here, here.client() as holder:
        token = (await holder.enroll())["token"]
        async with here.client() as guesser:
            reasons = [(await guesser.enroll("gate", f"guess number {n}"))["reason"] for n in range(40)]
            assert reasons[0] == "password_invalid"
            assert reasons[-1] == "rate_limited"
            async with here.client() as again:
                assert (await again.resume(token))["success"] is True


async def test_many_resume_at_once(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        store = here.control.store
        tokens = []
        for _ in range(200):
            backend = await store.backends.create("gate", "127.0.0.1")
            tokens.append(await store.tokens.issue("backend", backend.id, 1000, backend.created_at))

        async def resume(token: str) -> bool:
            async with here.client() as client:
                return bool((await client.resume(token))["success"])

        assert all(await asyncio.gather(*map(resume, tokens)))


async def test_a_draining_server_sends_its_agents_away_with_1013(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        async with door(tmp_path) as here:
            client = await stack.enter_async_context(here.client())
            silent = await stack.enter_async_context(here.client())
            await client.enroll()
        assert await client.closed() == (1013, "the server is going down")
        assert (await silent.closed())[0] == 1013


async def test_expired_tokens_are_cleared_away(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        await here.control.store.tokens.issue("login", "watch", 1, 1000.0)
        await here.control.store.tokens.issue("login", "watch", 1000, time.time())
    async with door(tmp_path), asyncio.timeout(10):
        while _count_tokens(tmp_path) != 1:
            await asyncio.sleep(0.01)


def _refuse_tokens(data_dir: Path) -> None:
    with closing(sqlite3.connect(data_dir / "quix.db")) as database:
        database.execute("CREATE TRIGGER no_token BEFORE INSERT ON tokens BEGIN SELECT RAISE(ABORT, 'no'); END")


def _count_tokens(data_dir: Path) -> int:
    with closing(sqlite3.connect(data_dir / "quix.db")) as database:
        count: int = database.execute("SELECT count(*) FROM tokens").fetchone()[0]
        return count
