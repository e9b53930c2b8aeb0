"""A server with an agent that many tests look at and none disturbs."""

from __future__ import annotations

import pytest

from acceptance.house import House, Program, Rest, Server


@pytest.fixture(scope="session")
def shared(common: House) -> Server:
    """A server that many tests use: none may stop it, fail at passwords again and again, or count on being alone."""
    return common.server(max_in_progress="64")


@pytest.fixture(scope="session")
def rest(shared: Server) -> Rest:
    """REST of the shared server, as its admin."""
    return shared.rest()


@pytest.fixture(scope="session")
def machine(common: House, shared: Server, rest: Rest) -> str:
    """The id of a backend at the shared server: a real agent, which nobody stops."""
    agent: Program = common.agent(shared.url, name="machine", username="op")
    agent.wait_for("enrolled")
    ids: list[str] = [backend["id"] for backend in rest.backends() if backend["enrolled_by"] == "op"]
    return ids[0]
