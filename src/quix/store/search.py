"""Lists of backends: narrowed, sorted, and a page at a time, by the database as far as it knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

from msgspec import Struct
from sqlalchemy import ColumnElement, Select, and_, or_, select

from quix.store.backends import Backend, backend_of
from quix.store.database import Database
from quix.store.ids import ID_LENGTH
from quix.store.sight import EVERYTHING, Pairs, Sight, has_labels, is_seen
from quix.store.tables import backends

Sort = Literal["created", "name", "last_seen"]

_CHUNK: Final = 2000
"""Backends that are looked at together where the database does not know which are wanted."""


class Sought(Struct, frozen=True, kw_only=True):
    """What is looked for: backends with all of the `labels`, and `text` in their name or address,
    or at the beginning of their id.

    `is_revoked` None: whether or not. `last_seen` as the store knows it: when a backend last came or went.
    """

    labels: Pairs = ()
    text: str = ""
    is_revoked: bool | None = None
    sort: Sort = "created"
    descending: bool = False


class Cursor(Struct, frozen=True):
    """Where a page ends: at the backend of this id, with this value of what is sorted by."""

    id: str
    value: str | float = ""

    @classmethod
    def of(cls, text: str, sort: Sort) -> Cursor:
        """Return the cursor that was shown as a text. Raises ValueError: it is none of this order."""
        value = text[ID_LENGTH:]
        return cls(text[:ID_LENGTH], float(value) if sort == "last_seen" else value)

    def __str__(self) -> str:
        return f"{self.id}{self.value}"


class Search:
    """Finds backends. One that is not seen is never found."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self,
        sought: Sought,
        after: Cursor | None,
        limit: int,
        sight: Sight = EVERYTHING,
        wanted: Callable[[str], bool] | None = None,
    ) -> list[Backend]:
        """Return up to `limit` backends, those past `after`. `wanted` says of an id what no database knows."""
        items: list[Backend] = []
        chunk = limit if wanted is None else max(limit, _CHUNK)
        while True:
            statement = _statement(sought, after, sight).limit(chunk)
            async with self._database.read() as connection:
                found = (await connection.execute(statement)).mappings().all()
            items += [backend_of(row) for row in found if wanted is None or wanted(row["id"])]
            if len(items) >= limit or len(found) < chunk:
                return items[:limit]
            after = _cursor(sought.sort, backend_of(found[-1]))


def cursor_of(sort: Sort, backend: Backend) -> str:
    """Return the cursor of a page that ends with a backend."""
    return str(_cursor(sort, backend))


def _cursor(sort: Sort, backend: Backend) -> Cursor:
    if sort == "created":
        return Cursor(backend.id)
    return Cursor(backend.id, backend.name if sort == "name" else backend.last_seen)


def _statement(sought: Sought, after: Cursor | None, sight: Sight) -> Select[Any]:
    table = backends.c
    statement = select(backends).where(is_seen(table.id, sight), has_labels(table.id, sought.labels))
    if sought.text:
        text = sought.text
        inside = (place.icontains(text, autoescape=True) for place in (table.name, table.address))
        statement = statement.where(or_(*inside, table.id.istartswith(text, autoescape=True)))
    if sought.is_revoked is not None:
        is_null = table.revoked_at.is_(None)
        statement = statement.where(~is_null if sought.is_revoked else is_null)
    key = {"name": table.name, "last_seen": table.last_seen}.get(sought.sort)
    if after is not None:
        statement = statement.where(_past(key, after, sought))
    order = [column for column in (key, table.id) if column is not None]
    return statement.order_by(*(column.desc() if sought.descending else column for column in order))


def _past(key: Any, after: Cursor, sought: Sought) -> ColumnElement[bool]:
    column = backends.c.id
    is_past_id = column < after.id if sought.descending else column > after.id
    if key is None:
        return is_past_id
    is_past = key < after.value if sought.descending else key > after.value
    return or_(is_past, and_(key == after.value, is_past_id))
