"""Lists that do not fit on one page."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from harness.api import Place
from harness.store import add_run
from quix.store.users import Role


async def pages(client: httpx.AsyncClient, path: str, limit: int) -> list[list[Any]]:
    """Follow `next` to its end."""
    found: list[list[Any]] = []
    after: dict[str, str] = {}
    while True:
        page = (await client.get(path, params={"limit": limit, **after})).json()
        assert set(page) == {"items", "next"}
        found.append(page["items"])
        if page["next"] is None:
            return found
        after = {"after": page["next"]}


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1] * 6), (4, [4, 2]), (6, [6]), (7, [6]), (1000, [6])])
async def test_every_item_is_on_one_page(there: Place, limit: int, sizes: list[int]) -> None:
    admin = await there.login(Role.ADMIN)
    store = there.control.store
    ids = [(await store.backends.create("gate", "192.0.2.1")).id for _ in range(6)]
    runs = [(await add_run(store, ids[0])).id for _ in range(6)]
    for backend_id in ids:
        await admin.post(f"/backends/{backend_id}/vpn", json={"conf_type": "wireguard"})
    await there.control.accounts.add_user("ada", Role.VIEWER, "a good long password")
    await there.control.accounts.add_user("zoe", Role.VIEWER, "a good long password")

    for path, name, expected in (
        ("/backends", "id", ids),
        (f"/backends/{ids[0]}/runs", "id", runs),
        ("/vpn", "backend_id", ids),
        ("/users", "name", ["ada", "gate", "op", "root", "watch", "zoe"]),
    ):
        found = await pages(admin, path, limit)
        assert [len(page) for page in found] == sizes
        assert [item[name] for page in found for item in page] == expected


async def test_a_page_has_a_hundred_items_unless_told_otherwise(there: Place) -> None:
    viewer = await there.login(Role.VIEWER)
    backend = await there.control.store.backends.create("gate", "192.0.2.1")
    for _ in range(101):
        await add_run(there.control.store, backend.id)
    page = (await viewer.get(f"/backends/{backend.id}/runs")).json()
    assert len(page["items"]) == 100
    assert page["next"] == page["items"][-1]["id"]
