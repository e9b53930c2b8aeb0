"""How often an agent asks for a tunnel that a server does not give it. Time is what the test says it is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from quix.agent.tunnels import Tunnels
from quix.agent.wireguard import WireGuardTunnel
from quix.link.outcomes import RefusedError
from quix.supervisor.policy import KINDS
from quix.supervisor.policy_file import PolicyFile
from quix.wire.extensions import VPN
from quix.wire.messages import ChangeVpn
from quix.wire.reasons import Reason


class Server:
    """A session with a server that refuses whatever it is asked, with `detail`."""

    def __init__(self) -> None:
        self.connection = SimpleNamespace(is_open=True, peer=SimpleNamespace(extensions={VPN}), ask=self.ask)
        self.has_enrolled = False
        self.detail = "this server offers no wireguard"
        self.asked = 0

    async def ask(self, *_: Any) -> Any:
        self.asked += 1
        raise RefusedError(Reason.VPN_UNAVAILABLE, self.detail)


class Agent:
    """An agent that wants a tunnel, and looks after it every ten seconds."""

    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        policy = PolicyFile(None, folder, KINDS, lambda *_: None)
        tunnel = WireGuardTunnel(folder / "vpn", "qxrefused0", "of a test")
        self.tunnels = Tunnels({"wireguard": tunnel}, "wireguard", folder, policy, lambda: self.now)

    async def look(self, server: Server, seconds: int) -> int:
        """Return how often it asks in so many seconds."""
        before, end = server.asked, self.now + seconds
        while self.now < end:
            self.now += 10
            await self.tunnels._each(self.tunnels._mend)
        return server.asked - before


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(tmp_path)


async def test_a_server_that_goes_on_refusing_is_asked_ever_less_often(agent: Agent) -> None:
    server: Any = Server()
    await agent.tunnels.welcome(server)
    assert server.asked == 1
    assert await agent.look(server, 60) == 3
    assert await agent.look(server, 3600) <= 10
    assert await agent.look(server, 6000) == 10


async def test_it_is_asked_at_once_where_something_is_new(agent: Agent) -> None:
    server: Any = Server()
    await agent.tunnels.welcome(server)
    await agent.look(server, 3600)
    before = server.asked
    await agent.tunnels._change(server, ChangeVpn(action="refresh", conf_type="wireguard"))
    assert server.asked == before + 1, "it said that there is something to ask for"
    await agent.tunnels.welcome(server)
    assert server.asked == before + 2, "it is another connection"
    assert await agent.look(server, 60) == 3, "and asked often again"


async def test_another_refusal_is_another_matter(agent: Agent) -> None:
    server: Any = Server()
    await agent.tunnels.welcome(server)
    await agent.look(server, 3600)
    server.detail = "it is being set up"
    while not await agent.look(server, 10):
        pass
    assert await agent.look(server, 60) == 2
