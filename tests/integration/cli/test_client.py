"""`quix.client`: what the SDK can do beyond what the commands show."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from harness.api import Place
from harness.server import PASSWORD
from quix.client import (
    ApiError,
    Client,
    DeniedError,
    NoAnswerError,
    OfflineError,
    RefusedError,
    RequestInvalidError,
    ServerUnreachableError,
    UnknownBackendError,
)
from quix.exits import QuixError


def machine(req: str, msg: Any) -> Any:
    if req == "execute" and msg["cmd"] != ["true"]:
        return {"result": "failure", "reason": "command_not_found"}
    return {"result": "success", "proc_id": 7} if req == "execute" else {"tele_data": {"ttl_mem_usage": [1, 2, 3]}}


@pytest.fixture
async def admin(there: Place) -> AsyncIterator[Client]:
    client = await asyncio.to_thread(Client.login, there.url, "root", PASSWORD)
    with client:
        yield client


async def test_a_session(there: Place, admin: Client) -> None:
    def use(client: Client) -> None:
        assert client.me().role == "admin"
        assert [backend.name for backend in client.backends()] == ["web-1"]
        backend = client.backend("web-1")
        assert backend.connected
        assert backend.facts is not None
        assert backend.facts.kernel == "6.12"
        started = client.execute(backend.id, ["true"])
        assert client.run("web-1", started.run_id) == next(client.runs("web-1"))
        assert client.telemetry("web-1", ["ttl_mem_usage"]).ttl_mem_usage == [1, 2, 3]
        with pytest.raises(RefusedError) as refused:
            client.execute("web-1", ["false"])
        assert (refused.value.reason, refused.value.status) == ("command_not_found", 422)
        with pytest.raises(UnknownBackendError):
            client.backend("web-2")
        with pytest.raises(ApiError) as unknown:
            client.run("web-1", "none")
        assert unknown.value.reason == "run_unknown"
        client.logout()
        with pytest.raises(DeniedError):
            client.me()

    async with there.agent(machine, "web-1"):
        await asyncio.to_thread(use, admin)


async def test_users(admin: Client) -> None:
    def use(client: Client) -> None:
        assert client.add_user("new", "viewer", "new password").role == "viewer"
        assert client.set_role("new", "operator").role == "operator"
        assert client.set_password("new", "other password").name == "new"
        assert [user.name for user in client.users()] == ["gate", "new", "op", "root", "watch"]
        client.remove_user("new")
        assert "new" not in [user.name for user in client.users()]
        with pytest.raises(RequestInvalidError, match="password"):
            client.add_user("new", "viewer", "short")
        with pytest.raises(ApiError) as taken:
            client.add_user("op", "viewer", "new password")
        assert taken.value.reason == "already_exists"

    await asyncio.to_thread(use, admin)


async def test_more_than_a_page(there: Place, admin: Client) -> None:
    made = [(await there.control.store.backends.create("gate", "")).id for _ in range(1001)]
    found = await asyncio.to_thread(lambda: [backend.id for backend in admin.backends()])
    assert found == made
    with pytest.raises(OfflineError):
        await asyncio.to_thread(admin.execute, made[0], ["true"])


def test_server_that_takes_too_long() -> None:
    # Connections wait in the backlog, and nobody accepts them.
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        with Client(url, "x", 0.1) as client, pytest.raises(ServerUnreachableError, match="timed out"):
            client.me()
        with Client(url, "x", 0.1) as client, pytest.raises(NoAnswerError, match="timed out"):
            client.execute("web-1", ["true"], patience=0.5)


def test_no_secret_is_shown() -> None:
    with Client("http://127.0.0.1:1", "secret") as client:
        assert repr(client) == "Client('http://127.0.0.1:1')"


@pytest.mark.parametrize("token", ["a b", "a\nb", "ü"])
def test_token_that_is_none(token: str) -> None:
    with pytest.raises(QuixError, match="token: "):
        Client("http://127.0.0.1:1", token)
