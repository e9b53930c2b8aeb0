# Made from aio/calls.py by tools/sync_client.py: change that, and run `make sdk`.

"""What all calls of the SDK stand on: a connection, and lists that come in pages."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from quix.client.connection import Connection
from quix.client.transport import Params, decode

T = TypeVar("T")

_PAGE: Final = 500


class _Page(Struct):
    items: msgspec.Raw
    next: str | None


class Calls:
    """Calls on one server."""

    _connection: Connection

    def _pages(self, path: str, kind: type[T], params: Params | None = None) -> Generator[T]:
        asked: dict[str, str | list[str]] = {**(params or {}), "limit": str(_PAGE)}
        while True:
            items, after = self._page(path, kind, asked)
            yield from items
            if after is None:
                return
            asked["after"] = after

    def _page(self, path: str, kind: type[T], params: Params) -> tuple[list[T], str | None]:
        """Return what is on a page, and the cursor of the next, None where there is none."""
        page = self._connection.call("GET", path, _Page, params=params)
        items: list[T] = decode(self._connection.url, page.items, list[kind])  # type: ignore[valid-type]
        return items, page.next
