"""Samples of telemetry and their roll-ups.

    a push --add()--> rows of `samples`          kept for `Retention.raw`
                      roll-ups of each minute    kept for `Retention.minute`
                      roll-ups of each hour      kept for `Retention.hour`

One transaction brings all three up to date, and with them the number of the backend's last sample that is in them: so
what is sent again after a crash of either side is known, and counted once, however old it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from msgspec import Struct
from sqlalchemy import and_, bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quix.store import blocks
from quix.store.blocks import WIDTH, Rollup, Row
from quix.store.database import Database
from quix.store.tables import backends, rollups, sample_marks, samples

MINUTE: Final = 60
HOUR: Final = 3600

SPANS: Final = {MINUTE: 900, HOUR: 86400}
"""Seconds that one row of roll-ups spans, by its step: long ones pack better, short ones are quicker to add to."""

RAW_SPAN: Final = 300.0
"""Seconds that one row of samples spans at most."""

_DELETED_AT_ONCE: Final = 1000

Look = tuple[int, float, Row]
"""One sample: its number in its series (0: it has none), when it was taken (epoch seconds), and its metrics."""

_Key = tuple[str, int, int]
"""Of a row of roll-ups: backend, step, start."""


class Retention(Struct, frozen=True, kw_only=True):
    """Seconds that samples, roll-ups of a minute and roll-ups of an hour are kept."""

    raw: float
    minute: float
    hour: float


class Batch(Struct, frozen=True):
    """Samples of one backend; their numbers are of one series, and rise."""

    backend_id: str
    series: str
    looks: list[Look]


class Samples:
    """The samples of the store, by backend. They go when their backend is removed."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    # -- adding ---------------------------------------------------------------------------------

    async def add(self, batches: Sequence[Batch], retention: Retention) -> None:
        """Keep samples, one batch a backend, in one transaction; those that are kept already, or whose backend has
        been removed, are left out."""
        async with self._database.write() as connection:
            marks = await _marks(connection, [batch.backend_id for batch in batches])
            fresh = [_after(batch, *marks[batch.backend_id]) for batch in batches if batch.backend_id in marks]
            fresh = [batch for batch in fresh if batch.looks]
            await _insert_raw(connection, fresh, self._clock() - retention.raw)
            for step, keep in ((MINUTE, retention.minute), (HOUR, retention.hour)):
                await _add_rollups(connection, fresh, step, self._clock() - keep)
            await _set_marks(connection, fresh, marks)

    async def marks(self) -> dict[str, tuple[str, int]]:
        """Return series and number of the last sample that is kept, of each backend that numbers them."""
        async with self._database.read() as connection:
            return {row.backend_id: (row.series, row.seq) for row in await connection.execute(select(sample_marks))}

    # -- reading --------------------------------------------------------------------------------

    async def raw(self, backend_id: str, start: float, end: float) -> list[tuple[float, bytes]]:
        """Return the rows that hold a backend's samples from `start` to `end`, for `unpack_raw`."""
        statement = select(samples.c.start, samples.c.data).where(
            samples.c.backend_id == backend_id, samples.c.start > start - RAW_SPAN, samples.c.start <= end
        )
        async with self._database.read() as connection:
            return [(row.start, row.data) for row in await connection.execute(statement)]

    async def rollups(self, backend_id: str, step: int, start: float, end: float) -> list[tuple[float, bytes]]:
        """Return the rows that hold a backend's roll-ups from `start` to `end`, for `unpack_rollups`."""
        statement = select(rollups.c.start, rollups.c.data).where(
            rollups.c.backend_id == backend_id,
            rollups.c.step == step,
            rollups.c.start > start - SPANS[step],
            rollups.c.start <= end,
        )
        async with self._database.read() as connection:
            return [(row.start, row.data) for row in await connection.execute(statement)]

    # -- deleting -------------------------------------------------------------------------------

    async def purge(self, retention: Retention) -> int:
        """Delete some of what is older than it is to be kept; return how many rows. Nothing is left when that is 0."""
        now = self._clock()
        old_raw = select(samples.c.id).where(samples.c.start < now - retention.raw - RAW_SPAN)
        count = 0
        async with self._database.write() as connection:
            some = old_raw.limit(_DELETED_AT_ONCE)
            count += (await connection.execute(delete(samples).where(samples.c.id.in_(some)))).rowcount
            for step, keep in ((MINUTE, retention.minute), (HOUR, retention.hour)):
                old = and_(rollups.c.step == step, rollups.c.start < now - keep - SPANS[step])
                some = select(rollups.c.id).where(old).limit(_DELETED_AT_ONCE)
                count += (await connection.execute(delete(rollups).where(rollups.c.id.in_(some)))).rowcount
        return count


def unpack_raw(rows: Iterable[tuple[float, bytes]]) -> Iterator[tuple[float, Row]]:
    """Yield when each sample was taken, and its metrics."""
    for start, data in rows:
        offsets, looks = blocks.unpack(data, WIDTH)
        for offset, row in zip(offsets, looks, strict=True):
            yield round(start + offset / 1000, 3), row


def unpack_rollups(rows: Iterable[tuple[float, bytes]], step: int) -> Iterator[tuple[float, Rollup]]:
    """Yield the start of each minute or hour, and its roll-up."""
    for start, data in rows:
        offsets, found = blocks.unpack(data, 4 * WIDTH)
        for offset, each in zip(offsets, found, strict=True):
            yield start + offset * step, each


def _after(batch: Batch, series: str, seq: int) -> Batch:
    if batch.series != series:
        return batch
    return Batch(batch.backend_id, series, [look for look in batch.looks if not 0 < look[0] <= seq])


async def _marks(connection: AsyncConnection, backend_ids: list[str]) -> dict[str, tuple[str, int]]:
    """Return series and number of the last sample of each of these backends that is there; ("", 0) where none is."""
    statement = (
        select(backends.c.id, sample_marks.c.series, sample_marks.c.seq)
        .join_from(backends, sample_marks, isouter=True)
        .where(backends.c.id.in_(backend_ids))
    )
    return {row.id: (row.series or "", row.seq or 0) for row in await connection.execute(statement)}


async def _set_marks(connection: AsyncConnection, batches: list[Batch], before: dict[str, tuple[str, int]]) -> None:
    new, known = [], []
    for batch in batches:
        last = max(look[0] for look in batch.looks)
        if not last:
            continue
        if before[batch.backend_id][0]:
            known.append({"marked": batch.backend_id, "series": batch.series, "seq": last})
        else:
            new.append({"backend_id": batch.backend_id, "series": batch.series, "seq": last})
    if new:
        await connection.execute(insert(sample_marks), new)
    if known:
        statement = update(sample_marks).where(sample_marks.c.backend_id == bindparam("marked"))
        await connection.execute(statement, known)


async def _insert_raw(connection: AsyncConnection, batches: list[Batch], since: float) -> None:
    rows = []
    for batch in batches:
        looks = sorted((look for look in batch.looks if look[1] >= since), key=lambda look: look[1])
        while looks:
            start = looks[0][1]
            part = [look for look in looks if look[1] < start + RAW_SPAN]
            looks = looks[len(part) :]
            data = blocks.pack([round((at - start) * 1000) for _, at, _ in part], [row for _, _, row in part])
            rows.append({"backend_id": batch.backend_id, "start": start, "data": data})
    if rows:
        await connection.execute(insert(samples), rows)


async def _add_rollups(connection: AsyncConnection, batches: list[Batch], step: int, since: float) -> None:
    """Add samples to the roll-ups of their minutes or hours, of those that are still kept."""
    added: dict[_Key, dict[int, Rollup]] = {}
    span = SPANS[step]
    for batch in batches:
        looks = [look for look in batch.looks if look[1] >= since]
        for number, group in groupby(looks, key=lambda look: int(look[1] // step)):
            start = number * step // span * span
            row = added.setdefault((batch.backend_id, step, start), {})
            _add(row, number - start // step, blocks.rollup([look[2] for look in group]))
    if not added:
        return
    new, known = [], []
    before = await _rollups(connection, added)
    for key, row in added.items():
        found = before.get(key)
        if found is not None:
            row_id, data = found
            for offset, each in zip(*blocks.unpack(data, 4 * WIDTH), strict=True):
                _add(row, offset, each)
            known.append({"known": row_id, "data": _packed(row)})
        else:
            backend_id, _, start = key
            new.append({"backend_id": backend_id, "step": step, "start": start, "data": _packed(row)})
    if new:
        await connection.execute(insert(rollups), new)
    if known:
        await connection.execute(update(rollups).where(rollups.c.id == bindparam("known")), known)


def _add(row: dict[int, Rollup], offset: int, each: Rollup) -> None:
    before = row.get(offset)
    row[offset] = each if before is None else blocks.combine(before, each)


def _packed(row: dict[int, Rollup]) -> bytes:
    offsets = sorted(row)
    return blocks.pack(offsets, [row[offset] for offset in offsets])


async def _rollups(connection: AsyncConnection, keys: Collection[_Key]) -> dict[_Key, tuple[int, bytes]]:
    """Return id and data of the rows of roll-ups that are there already, perhaps of others too.

    All of one step. Not asked for by triples, since SQLite finds those by reading the whole table.
    """
    backend_ids, steps, starts = (list(set(column)) for column in zip(*keys, strict=True))
    statement = select(rollups).where(
        rollups.c.backend_id.in_(backend_ids), rollups.c.step == steps[0], rollups.c.start.in_(starts)
    )
    found = await connection.execute(statement)
    return {(row.backend_id, row.step, row.start): (row.id, row.data) for row in found}
