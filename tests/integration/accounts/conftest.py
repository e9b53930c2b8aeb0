"""A store on SQLite, accounts on it, and clocks that a test sets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from harness.store import FakeClock, no_thread_stays
from quix.server.accounts import Accounts
from quix.server.throttle import Throttle
from quix.store import Store

LOGIN_VALIDITY = 600


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest_asyncio.fixture
async def store(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path / 'quix.db'}", clock)
    yield store
    await store.close()


@pytest_asyncio.fixture
async def accounts(store: Store, clock: FakeClock) -> AsyncIterator[Accounts]:
    accounts = Accounts(store, Throttle(clock), LOGIN_VALIDITY, clock)
    yield accounts
    accounts.close()


@pytest.fixture(autouse=True)
def _threads_end() -> Iterator[None]:
    with no_thread_stays():
        yield
