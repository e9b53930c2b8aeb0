"""Lists, a page at a time: `{"items": [...], "next": cursor|null}`, asked for with `?after=CURSOR&limit=N`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Generic, TypeVar

from litestar.params import QueryParameter
from msgspec import Struct

T = TypeVar("T")

After = Annotated[
    str | None,
    QueryParameter(name="after", description="`next` of the page before; left out for the first page."),
]
Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=1000, description="Items on a page at most.")]

DEFAULT_LIMIT = 100


class Page(Struct, Generic[T]):
    """`next` is the cursor of the page after this one; null where there is none."""

    items: list[T]
    next: str | None


async def turn(
    fetch: Callable[[str | None, int], Awaitable[list[T]]], cursor: Callable[[T], str], after: str | None, limit: int
) -> Page[T]:
    """Return the page past the cursor `after`; `fetch` takes a cursor and how many items it may return."""
    found = await fetch(after, limit + 1)
    items = found[:limit]
    return Page(items, cursor(items[-1]) if len(found) > limit else None)
