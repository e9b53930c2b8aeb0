"""Programs on backends: those that run now, and every run that was started."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import get, post
from litestar.params import FromPath, JSONBody, PathParameter, QueryParameter
from msgspec import Meta, Struct

from quix.api.access import AsUser, Named, Parts
from quix.api.errors import raises
from quix.api.pages import DEFAULT_LIMIT, After, Limit, Page, turn
from quix.api.problems import ASKING, NAMING, OPERATING, Problem, ProblemError
from quix.server.accounts import can_operate, can_read
from quix.store.runs import Run
from quix.wire.messages import NonEmpty, Process

TAG = "programs"

_HIGHEST_PID = 2**31 - 1

Verb = Annotated[
    int,
    QueryParameter(
        name="verb", ge=1, le=2, description="1: the programs that Quix started; 2: all that the agent sees."
    ),
]
Pid = Annotated[int, PathParameter(ge=1, le=_HIGHEST_PID, description="The program's process ID on the backend.")]


class Command(Struct, forbid_unknown_fields=True):
    """`cmd` is an argument vector, the program first; no shell reads it."""

    cmd: Annotated[list[str], Meta(min_length=1)]


class Started(Struct):
    """`proc_id` is the process ID on the backend; pids are used again, `run_id` is not."""

    proc_id: int
    run_id: str


class Signal(Struct, forbid_unknown_fields=True):
    """`mode` is SIGTERM, SIGKILL or SIGHUP."""

    mode: NonEmpty


class Signalled(Struct):
    result: Literal["success"] = "success"


@get(
    "/processes",
    operation_id="listProcesses",
    summary="List running programs",
    tags=[TAG],
    may=can_read,
    responses=raises(Problem.REQUEST_INVALID, *NAMING, *ASKING),
)
async def list_processes(control: Parts, backend: Named, verb: Verb = 1) -> Page[Process]:
    """Ask the backend what runs there now; always one page."""
    return Page(await control.programs.view_running(backend.id, verb), None)


@post(
    "/processes",
    operation_id="execute",
    summary="Start a program",
    tags=[TAG],
    may=can_operate,
    responses=raises(Problem.REQUEST_INVALID, Problem.BODY_TOO_LARGE, *OPERATING, *ASKING),
)
async def execute(control: Parts, request: AsUser, backend: Named, data: JSONBody[Command]) -> Started:
    """Start a program on the backend. After `timeout` or `connection_lost` it may or may not run: it is not
    started a second time."""
    run = await control.programs.execute(request.user.name, backend.id, data.cmd)
    return Started(run.proc_id, run.id)


@post(
    "/processes/{pid:int}/signal",
    operation_id="signalProcess",
    summary="Signal a program",
    tags=[TAG],
    status_code=200,
    may=can_operate,
    responses=raises(Problem.REQUEST_INVALID, Problem.BODY_TOO_LARGE, *OPERATING, *ASKING),
)
async def signal_process(
    control: Parts, request: AsUser, backend: Named, pid: Pid, data: JSONBody[Signal]
) -> Signalled:
    """Signal a program that Quix started: SIGTERM and SIGKILL reach its whole tree, SIGHUP the program itself."""
    await control.programs.signal(request.user.name, backend.id, pid, data.mode)
    return Signalled()


@get(
    "/runs",
    operation_id="listRuns",
    summary="List runs",
    tags=[TAG],
    may=can_read,
    responses=raises(Problem.REQUEST_INVALID, *NAMING),
)
async def list_runs(control: Parts, backend: Named, after: After = None, limit: Limit = DEFAULT_LIMIT) -> Page[Run]:
    """Return the programs that were started on the backend, oldest first, whether they still run or not."""

    async def fetch(cursor: str | None, count: int) -> list[Run]:
        return await control.store.runs.page(backend.id, cursor, count)

    return await turn(fetch, lambda run: run.id, after, limit)


@get(
    "/runs/{run_id:str}",
    operation_id="getRun",
    summary="Look at a run",
    tags=[TAG],
    may=can_read,
    responses=raises(Problem.REQUEST_INVALID, *NAMING, Problem.RUN_UNKNOWN),
)
async def get_run(control: Parts, backend: Named, run_id: FromPath[str]) -> Run:
    """Return one run."""
    run = await control.store.runs.get(run_id)
    if run is None or run.backend_id != backend.id:
        raise ProblemError(Problem.RUN_UNKNOWN)
    return run
