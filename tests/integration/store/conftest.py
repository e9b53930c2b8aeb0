"""Stores to test, each closed at the end, and a clock that a test sets.

Every test that takes `store` or `open_store` is the contract of each kind of database in `DATABASES`; what only
SQLite does is in test_sqlite.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from harness.store import FakeClock, OpenStore, no_thread_stays
from quix.store import Store

DATABASES: dict[str, Callable[[Path], str]] = {
    "sqlite": lambda folder: f"sqlite+aiosqlite:///{folder / 'quix.db'}",
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=DATABASES)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return DATABASES[request.param](tmp_path)


@pytest_asyncio.fixture
async def open_store(store_url: str, clock: FakeClock) -> AsyncIterator[OpenStore]:
    """Open the same database once more, as another process would."""
    stores: list[Store] = []

    async def open_() -> Store:
        stores.append(await Store.open(store_url, clock))
        return stores[-1]

    yield open_
    await asyncio.gather(*(store.close() for store in stores))


@pytest_asyncio.fixture
async def store(open_store: OpenStore) -> Store:
    return await open_store()


@pytest.fixture(autouse=True)
def _threads_end() -> Iterator[None]:
    with no_thread_stays():
        yield
