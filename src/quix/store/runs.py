"""Programs that were started, one run an execution, from the moment it was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct
from sqlalchemy import ColumnElement, Select, and_, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from quix.store.audit import Entry, append
from quix.store.database import Database
from quix.store.errors import AlreadyExistsError, NotFoundError
from quix.store.ids import new_id
from quix.store.tables import runs
from quix.wire.runs import RunOptions, RunState

State = Literal["starting", "running", "waiting", "ended", "refused", "untracked"]
"""`starting`: asked for, and not known yet whether it was started. `refused`: it was not; `outcome` is the reason.
`untracked`: started on a backend that says no more of it."""

OPEN: Final = ("starting", "running", "waiting")


class Run(Struct, frozen=True, kw_only=True):
    """`proc_id` is the program's process ID on the backend, 0 before it is known; pids are used again, `id` is not.

    `started_by` is a user's name; `options` are those it was started with, but for the environment. Times in epoch
    seconds. `outcome`, `exit_code`, `exit_signal`, `restarts`, `stdout`, `stderr` and `detail` are those of
    `quix.wire.runs.RunState`.
    """

    id: str
    backend_id: str
    cmd: list[str]
    proc_id: int
    started_by: str
    started_at: float
    options: RunOptions = RunOptions()
    state: Annotated[State, Meta(title="StateOfRun")] = "starting"
    ended_at: float | None = None
    outcome: str | None = None
    exit_code: int | None = None
    exit_signal: str | None = None
    restarts: int = 0
    stdout: int = 0
    stderr: int = 0
    detail: str = ""


_cmd = msgspec.json.Decoder(list[str]).decode
_options = msgspec.json.Decoder(RunOptions).decode
_encode = msgspec.json.Encoder().encode

_COLUMNS: Final = [runs.c[name] for name in Run.__struct_fields__]


class Runs:
    """The runs of the store, by id. They go when their backend is removed."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def new(self, backend_id: str, cmd: Sequence[str], options: RunOptions, started_by: str) -> Run:
        """Return a run that is about to be asked for; `add` keeps it."""
        now = self._clock()
        shown = msgspec.structs.replace(options, env=UNSET)
        return Run(
            id=new_id(now),
            backend_id=backend_id,
            cmd=list(cmd),
            proc_id=0,
            started_by=started_by,
            started_at=now,
            options=shown,
        )

    async def add(self, run: Run, request_key: str | None = None, entry: Entry | None = None) -> None:
        """Keep a run, and with it a row of the audit.

        Raises:
            AlreadyExistsError: its user has named another run by that key.
            NotFoundError: the backend has been removed.
        """
        fields = {name: getattr(run, name) for name in Run.__struct_fields__}
        row = {
            **fields,
            "cmd": _encode(run.cmd).decode(),
            "options": _encode(run.options).decode(),
            "request_key": request_key,
        }
        try:
            async with self._database.write() as connection:
                await connection.execute(insert(runs).values(row))
                await append(connection, run.started_at, entry)
        except IntegrityError as error:
            if request_key is not None and await self.requested(run.started_by, request_key) is not None:
                raise AlreadyExistsError(request_key) from error
            raise NotFoundError(f"backend {run.backend_id}") from error

    async def requested(self, user: str, request_key: str) -> Run | None:
        """Return the run that a user named by a key."""
        named = and_(runs.c.started_by == user, runs.c.request_key == request_key)
        found = await self._select(select(*_COLUMNS).where(named))
        return found[0] if found else None

    async def get(self, run_id: str) -> Run | None:
        found = await self._select(select(*_COLUMNS).where(runs.c.id == run_id))
        return found[0] if found else None

    async def page(self, backend_id: str, after: str | None, limit: int) -> list[Run]:
        """Return up to `limit` runs of a backend, oldest first, those past the id `after`."""
        statement = select(*_COLUMNS).where(runs.c.backend_id == backend_id, runs.c.id > (after or ""))
        return await self._select(statement.order_by(runs.c.id).limit(limit))

    async def starting(self, backend_id: str, before: float, limit: int) -> list[Run]:
        """Return up to `limit` runs of a backend that were asked for `before`, and of which it is not known whether
        they started."""
        statement = select(*_COLUMNS).where(runs.c.backend_id == backend_id, *_starting(before))
        return await self._select(statement.order_by(runs.c.id).limit(limit))

    async def unsettled(self, before: float) -> list[str]:
        """Return the backends that have such runs."""
        async with self._database.read() as connection:
            return [*await connection.scalars(select(runs.c.backend_id).where(*_starting(before)).distinct())]

    async def _select(self, statement: Select[Any]) -> list[Run]:
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).mappings().all()
        return [Run(**{**row, "cmd": _cmd(row["cmd"]), "options": _options(row["options"])}) for row in rows]

    async def started(self, run_id: str, proc_id: int) -> None:
        """A run was started; what its backend has said of it since then stays."""
        await self._settle(run_id, {"proc_id": proc_id, "state": "running"})

    async def untracked(self, run_id: str, proc_id: int, outcome: str | None = None) -> None:
        """A run is with a backend that says no more of it; without a pid, `outcome` is why it is not known if it was
        started."""
        await self._settle(run_id, {"proc_id": proc_id, "state": "untracked", "outcome": outcome})

    async def refused(self, run_id: str, reason: str, detail: str) -> None:
        """A run was not started, and never will be."""
        values = {"state": "refused", "outcome": reason, "detail": detail, "ended_at": self._clock()}
        await self._settle(run_id, values)

    async def _settle(self, run_id: str, values: dict[str, Any]) -> None:
        statement = update(runs).where(runs.c.id == run_id, runs.c.state == "starting")
        async with self._database.write() as connection:
            await connection.execute(statement.values(values))

    async def purge(self, before: float) -> int:
        """Forget runs that ended, or were refused, or of which nothing more is known, `before`; return how many."""
        gone = runs.c.state.not_in(OPEN) & (func.coalesce(runs.c.ended_at, runs.c.started_at) < before)
        async with self._database.write() as connection:
            return (await connection.execute(delete(runs).where(gone))).rowcount

    async def tell(self, backend_id: str, states: Sequence[RunState]) -> list[RunState]:
        """Keep what a backend says of its runs, in one transaction; an end is final, and strangers' runs are not its
        to speak of. Return what was kept."""
        if not states:
            return []
        open_ = select(runs.c.id).where(
            runs.c.id.in_({state.run for state in states}), runs.c.backend_id == backend_id, runs.c.state != "ended"
        )
        statement = update(runs).where(runs.c.id == bindparam("told_run"))
        statement = statement.values({name: bindparam(f"told_{name}") for name in _TOLD})
        async with self._database.write() as connection:
            kept = _up_to_their_ends(states, set(await connection.scalars(open_.with_for_update())))
            if kept:
                rows = [
                    {"told_run": state.run, **{f"told_{name}": getattr(state, name) for name in _TOLD}}
                    for state in kept
                ]
                await connection.execute(statement, rows)
        return kept


def _up_to_their_ends(states: Sequence[RunState], open_: set[str]) -> list[RunState]:
    """Return the states of the runs that are `open_`, each run's up to its end."""
    kept = []
    for state in states:
        if state.run in open_:
            kept.append(state)
            if state.state == "ended":
                open_.remove(state.run)
    return kept


def _starting(before: float) -> tuple[ColumnElement[bool], ...]:
    return (runs.c.state == "starting", runs.c.started_at < before)


_TOLD: Final = (
    "state", "proc_id", "restarts", "stdout", "stderr", "ended_at", "outcome", "exit_code", "exit_signal", "detail",
)  # fmt: skip
