"""The runs of the store."""

from __future__ import annotations

import pytest

from harness.store import FakeClock
from quix.store import Store
from quix.store.errors import NotFoundError
from quix.store.runs import Run


async def test_a_run_is_kept_as_it_was(store: Store, clock: FakeClock) -> None:
    backend = await store.backends.create("ada", "192.0.2.1")
    cmd = ["printf", "%s", "a b", "", "ü\0\n", "x" * 100_000]
    run = await store.runs.add(backend.id, cmd, 2**31 + 5, "ada")
    assert run == Run(run.id, backend.id, cmd, 2**31 + 5, "ada", clock.now)
    assert await store.runs.get(run.id) == run
    assert await store.runs.get("none") is None


async def test_pages_are_of_one_backend_from_the_oldest_on(store: Store, clock: FakeClock) -> None:
    backend = await store.backends.create("ada", "192.0.2.1")
    other = await store.backends.create("ada", "192.0.2.2")
    made = []
    for number in range(5):
        clock.now += 1
        made.append(await store.runs.add(backend.id, ["true"], number, "ada"))
        await store.runs.add(other.id, ["false"], number, "ada")
    first = await store.runs.page(backend.id, None, 3)
    second = await store.runs.page(backend.id, first[-1].id, 3)
    assert first + second == made
    assert await store.runs.page("none", None, 3) == []


async def test_no_run_is_kept_of_a_backend_that_is_gone(store: Store) -> None:
    backend = await store.backends.create("ada", "192.0.2.1")
    await store.backends.remove(backend.id)
    with pytest.raises(NotFoundError, match=f"there is no backend {backend.id}"):
        await store.runs.add(backend.id, ["true"], 7, "ada")
