"""A server with both doors open, and a shell that is logged in to it as operator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.api import Place, place
from harness.cli import Shell
from harness.server import PASSWORD


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[Place]:
    async with place(tmp_path / "server", ask_timeout=1.0) as there:
        yield there


@pytest.fixture
def stranger(tmp_path: Path) -> Shell:
    """A shell that is not logged in."""
    return Shell(tmp_path / "home")


@pytest.fixture
async def shell(there: Place, stranger: Shell) -> Shell:
    logged_in = await stranger.quix("login", there.url, "--username", "op", "--password-stdin", stdin=PASSWORD)
    assert logged_in.code == 0, logged_in
    return stranger
