"""Programs that were started, one run an execution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from quix.store.database import Database
from quix.store.errors import NotFoundError
from quix.store.ids import new_id
from quix.store.tables import runs


class Run(Struct, frozen=True):
    """`proc_id` is the program's process ID on the backend; pids are used again, `id` is not. `started_by` is
    a user's name, `started_at` in epoch seconds."""

    id: str
    backend_id: str
    cmd: list[str]
    proc_id: int
    started_by: str
    started_at: float


_cmd = msgspec.json.Decoder(list[str]).decode


class Runs:
    """The runs of the store, by id. They go when their backend is removed."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def add(self, backend_id: str, cmd: Sequence[str], proc_id: int, started_by: str) -> Run:
        """Keep that a program was started just now.

        Raises:
            NotFoundError: the backend has been removed.
        """
        now = self._clock()
        run = Run(new_id(now), backend_id, list(cmd), proc_id, started_by, now)
        row = {**msgspec.structs.asdict(run), "cmd": msgspec.json.encode(run.cmd).decode()}
        try:
            async with self._database.write() as connection:
                await connection.execute(insert(runs).values(row))
        except IntegrityError as error:
            raise NotFoundError(f"backend {backend_id}") from error
        return run

    async def get(self, run_id: str) -> Run | None:
        async with self._database.read() as connection:
            row = (await connection.execute(select(runs).where(runs.c.id == run_id))).mappings().one_or_none()
        return None if row is None else _run(row)

    async def page(self, backend_id: str, after: str | None, limit: int) -> list[Run]:
        """Return up to `limit` runs of a backend, oldest first, those past the id `after`."""
        statement = select(runs).where(runs.c.backend_id == backend_id, runs.c.id > (after or ""))
        async with self._database.read() as connection:
            rows = (await connection.execute(statement.order_by(runs.c.id).limit(limit))).mappings().all()
        return [_run(row) for row in rows]


def _run(row: Any) -> Run:
    return Run(**{**row, "cmd": _cmd(row["cmd"])})
