"""What all calls of the SDK stand on: a connection, and lists that come in pages."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from quix.client.aio.connection import AsyncConnection
from quix.client.transport import Params, decode

T = TypeVar("T")

_PAGE: Final = 500


class _Page(Struct):
    items: msgspec.Raw
    next: str | None


class AsyncCalls:
    """Calls on one server."""

    _connection: AsyncConnection

    async def _pages(self, path: str, kind: type[T], params: Params | None = None) -> AsyncGenerator[T]:
        asked: dict[str, str | list[str]] = {**(params or {}), "limit": str(_PAGE)}
        while True:
            items, after = await self._page(path, kind, asked)
            for item in items:
                yield item
            if after is None:
                return
            asked["after"] = after

    async def _page(self, path: str, kind: type[T], params: Params) -> tuple[list[T], str | None]:
        """Return what is on a page, and the cursor of the next, None where there is none."""
        page = await self._connection.call("GET", path, _Page, params=params)
        items: list[T] = decode(self._connection.url, page.items, list[kind])  # type: ignore[valid-type]
        return items, page.next
