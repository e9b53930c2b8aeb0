"""What importing a part of Quix brings with it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import quix
import quix.client


def brought(code: str, *names: str) -> set[str]:
    """Return which of these modules are there after a program has run."""
    program = f"{code}\nimport sys\nprint(*(name for name in {names} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["quix", "quix.agent.app", "quix.supervisor.supervisor", "quix.server.app"])
def test_only_whoever_asks_for_a_client_gets_one(module: str) -> None:
    assert brought(f"import {module}", "httpx", "quix.client") == set()


def test_importing_quix_brings_next_to_nothing() -> None:
    assert brought("import quix", "msgspec", "asyncio", "structlog") == set()


@pytest.mark.parametrize("module", ["quix.agent.__main__", "quix.server.app"])
def test_what_runs_for_months_does_without_what_draws_on_terminals(module: str) -> None:
    assert brought(f"import {module}", "rich", "rich.traceback", "typer") == set()


def test_logs_leave_rich_to_others() -> None:
    assert brought("import quix.logs, rich.traceback", "rich", "rich.traceback") == {"rich", "rich.traceback"}
    assert brought("import rich, quix.logs", "rich") == {"rich"}


def test_commands_do_without_asyncio() -> None:
    assert brought("import quix; quix.Client", "asyncio", "httpx") == {"httpx"}


def test_the_clients_are_those_of_the_sdk() -> None:
    assert quix.Client is quix.client.Client
    assert quix.AsyncClient is quix.client.AsyncClient
    for module in (quix, quix.client):
        assert {"AsyncClient", "Client"} <= set(module.__all__)
        with pytest.raises(AttributeError, match="has no attribute 'Agent'"):
            module.Agent  # noqa: B018
