"""Programs on backends: those that run now, and starting more."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import get, post
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter
from msgspec import Meta, Struct

from quix.api.access import AsUser, Named, Parts
from quix.api.errors import raises
from quix.api.pages import Page
from quix.api.problems import ASKING, NAMING, OPERATING, Problem
from quix.server.accounts import can_operate, can_read
from quix.store.actions import Action
from quix.wire.messages import NonEmpty, Process
from quix.wire.runs import RunOptions

TAG = "programs"

_HIGHEST_PID = 2**31 - 1

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        pattern=r"^[A-Za-z0-9_-]{1,64}(?!\n)$",
        description="A name that this user gives to this request and to no other.",
    ),
]

Verb = Annotated[
    int,
    QueryParameter(
        name="verb", ge=1, le=2, description="1: the programs that Quix started; 2: all that the agent sees."
    ),
]
Pid = Annotated[int, PathParameter(ge=1, le=_HIGHEST_PID, description="The program's process ID on the backend.")]


class Command(RunOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cmd` is an argument vector, the program first; no shell reads it. All else is for agents that keep runs."""

    cmd: Annotated[list[str], Meta(min_length=1)]

    @property
    def options(self) -> RunOptions:
        return RunOptions(**{name: getattr(self, name) for name in RunOptions.__struct_fields__})


class Started(Struct):
    """`proc_id` is the process ID on the backend; pids are used again, `run_id` is not."""

    proc_id: int
    run_id: str


class Signal(Struct, forbid_unknown_fields=True):
    """`mode` is SIGTERM, SIGKILL or SIGHUP; agents that keep runs know SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGSTOP,
    SIGCONT and SIGTSTP too."""

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
    audits=Action.EXECUTE,
    responses=raises(Problem.REQUEST_INVALID, Problem.BODY_TOO_LARGE, *OPERATING, Problem.ALREADY_EXISTS, *ASKING),
)
async def execute(
    control: Parts, request: AsUser, backend: Named, data: JSONBody[Command], key: IdempotencyKey = None
) -> Started:
    """Start a program on the backend.

    After `timeout` or `connection_lost` it may or may not run, and its run will tell. With an `Idempotency-Key` the
    same request may be sent again after any failure: it starts one program, and gives the same answer.
    """
    with control.audit.act(request.user, Action.EXECUTE, backend.id, program=data.cmd[0]) as act:
        run = await control.programs.execute(act, backend.id, data.cmd, data.options, key)
    return Started(run.proc_id, run.id)


@post(
    "/processes/{pid:int}/signal",
    operation_id="signalProcess",
    summary="Signal a program",
    tags=[TAG],
    status_code=200,
    may=can_operate,
    audits=Action.SIGNAL,
    responses=raises(Problem.REQUEST_INVALID, Problem.BODY_TOO_LARGE, *OPERATING, *ASKING),
)
async def signal_process(
    control: Parts, request: AsUser, backend: Named, pid: Pid, data: JSONBody[Signal]
) -> Signalled:
    """Signal a program that Quix started: SIGTERM and SIGKILL reach its whole tree, SIGHUP the program itself."""
    with control.audit.act(request.user, Action.SIGNAL, backend.id, str(pid), mode=data.mode):
        await control.programs.signal(request.user.name, backend.id, pid, data.mode)
    return Signalled()
