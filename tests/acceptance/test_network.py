"""A network that swallows everything: no FIN, no reset, only silence (PROTOCOL, "Liveness")."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator

import pytest

from acceptance.house import House, until

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

SERVER, AGENT = "10.203.0.1", "10.203.0.2"
NOTICED_WITHIN = 60
"""Seconds that the protocol allows both sides."""


def ip(*args: str) -> None:
    done = subprocess.run(["ip", *args], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(args)}: {done.stderr}"


class Cable:
    """The server's machine, the agent's, and a switch between them that can go dead without either noticing.

    The server's end is in this namespace; the agent and the switch have one each.
    """

    def __init__(self) -> None:
        number = os.getpid()
        self.agent, self._switch = f"qx-agent-{number}", f"qx-switch-{number}"
        self._near = f"qxs{number}"

    def lay(self) -> None:
        for name in (self.agent, self._switch):
            ip("netns", "add", name)
        ip("link", "add", self._near, "type", "veth", "peer", "name", "near", "netns", self._switch)
        ip("-n", self._switch, "link", "add", "far", "type", "veth", "peer", "name", "eth0", "netns", self.agent)
        ip("-n", self._switch, "link", "add", "switch", "type", "bridge")
        for port in ("near", "far"):
            ip("-n", self._switch, "link", "set", port, "master", "switch", "up")
        ip("-n", self._switch, "link", "set", "switch", "up")
        ip("addr", "add", f"{SERVER}/24", "dev", self._near)
        ip("link", "set", self._near, "up")
        ip("-n", self.agent, "addr", "add", f"{AGENT}/24", "dev", "eth0")
        for name in ("eth0", "lo"):
            ip("-n", self.agent, "link", "set", name, "up")

    def cut(self) -> None:
        """Let the switch forward nothing any more; the links at both ends stay up."""
        ip("-n", self._switch, "link", "set", "far", "nomaster")

    def mend(self) -> None:
        ip("-n", self._switch, "link", "set", "far", "master", "switch")

    def remove(self) -> None:
        for args in (["link", "del", self._near], ["netns", "del", self._switch], ["netns", "del", self.agent]):
            subprocess.run(["ip", *args], capture_output=True)


@pytest.fixture
def cable() -> Iterator[Cable]:
    cable = Cable()
    try:
        cable.lay()
        yield cable
    finally:
        cable.remove()


def test_both_sides_notice_a_dead_network_within_a_minute_and_find_each_other_again(house: House, cable: Cable) -> None:
    server = house.server(host=SERVER)
    rest = server.rest()
    agent = house.agent(server.url, "--allow-plaintext", inside=cable.agent)
    backend = rest.wait_online()
    assert rest.get(f"/backends/{backend}")["address"] == AGENT
    pid = rest.execute(backend, "sleep", "1000")
    cable.cut()
    began = time.monotonic()
    # A request that is in flight has its outcome in time too, whatever the network does.
    answer = rest.call("GET", f"/backends/{backend}/processes")
    assert (answer.status_code, answer.json()["reason"]) in ((504, "timeout"), (502, "connection_lost"))
    until(lambda: rest.online() == [], "the server notices", NOTICED_WITHIN - (time.monotonic() - began))
    agent.wait_for("connection ended", NOTICED_WITHIN - (time.monotonic() - began) + 1)
    noticed = time.monotonic() - began
    cable.mend()
    assert rest.wait_online(90) == backend
    assert [row["pid"] for row in rest.processes(backend)] == [pid]
    assert agent.is_running
    assert noticed <= NOTICED_WITHIN
