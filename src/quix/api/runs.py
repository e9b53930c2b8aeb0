"""Runs: every program that was started on a backend, what it wrote and reads, and how it ended."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Final

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter, SkipValidation
from litestar.response import ServerSentEvent, ServerSentEventMessage
from msgspec import Meta, Struct

from quix.api.access import AsUser, Named, Parts
from quix.api.errors import raises
from quix.api.guards import bearer_token, note_failure, still_holds
from quix.api.pages import DEFAULT_LIMIT, After, Limit, Page, turn
from quix.api.problems import ASKING, NAMING, OPERATING, Problem, ProblemError
from quix.api.processes import TAG, Signal, Signalled
from quix.link.outcomes import AskError
from quix.server.accounts import can_operate, can_read
from quix.server.caller import Caller
from quix.server.control import Control
from quix.server.outputs import LONGEST_WAIT
from quix.store.actions import Action
from quix.store.errors import StoreUnavailableError
from quix.store.runs import Run
from quix.wire.messages import ReadOutput, RunOutput, WriteInput
from quix.wire.runs import Offset, Terminal

_MAX_LIMIT: Final = 2**19

_CHECK: Final = 5.0
"""Seconds after which it is looked at again whether a stream may go on."""

_PLACE: Final = re.compile(r"([0-9]{1,16})\.([0-9]{1,16})")

_BASE64: Final = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
"""RFC 4648 section 4; JSON Schema's `contentEncoding` is a remark, and forbids nothing."""

OneRun = NamedDependency[SkipValidation[Run]]

Stdout = Annotated[int, QueryParameter(name="stdout", ge=0, description="Read standard output from this byte on.")]
Stderr = Annotated[int, QueryParameter(name="stderr", ge=0, description="Read standard error from this byte on.")]
Most = Annotated[
    int, QueryParameter(name="limit", ge=1, le=_MAX_LIMIT, description="Bytes of both streams together, at most.")
]
Wait = Annotated[
    float,
    QueryParameter(
        name="wait", ge=0, le=LONGEST_WAIT, description="Seconds to wait for output where there is none yet."
    ),
]
Acknowledge = Annotated[
    bool,
    QueryParameter(
        name="acknowledge",
        description="What is before the offsets has arrived: a run that waits for that (`overflow` wait) goes on.",
    ),
]


Unattended = Annotated[
    bool,
    QueryParameter(
        name="unattended",
        description="Nobody waits for the output any more: from here on the oldest goes where there is too much.",
    ),
]


class Input(Struct, forbid_unknown_fields=True):
    """`data` in base64, which begins at the byte `offset` of the input; `end`: nothing follows."""

    offset: Offset
    data: Annotated[bytes, Meta(max_length=_MAX_LIMIT, extra_json_schema={"pattern": _BASE64})]
    end: bool = False


class Received(Struct):
    """How many bytes of input were taken so far; what is beyond has to be sent again, later."""

    received: int


class Resized(Struct):
    result: str = "success"


async def find_run(
    control: Parts, backend: Named, run_id: Annotated[str, PathParameter(description="The run's id.")]
) -> Run:
    """Return the run of a path. Raises ProblemError(RUN_UNKNOWN)."""
    run = await control.store.runs.get(run_id)
    if run is None or run.backend_id != backend.id:
        raise ProblemError(Problem.RUN_UNKNOWN)
    return run


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
    "/",
    operation_id="getRun",
    summary="Look at a run",
    tags=[TAG],
    may=can_read,
    responses=raises(Problem.REQUEST_INVALID, *NAMING, Problem.RUN_UNKNOWN),
)
async def get_run(run: OneRun) -> Run:
    """Return one run, as its backend told it last."""
    return run


@get(
    "/output",
    operation_id="readOutput",
    summary="Read what a run writes",
    tags=[TAG],
    may=can_read,
    audits=Action.RUN_OUTPUT,
    responses=raises(Problem.REQUEST_INVALID, *OPERATING, Problem.RUN_UNKNOWN, *ASKING),
)
async def read_output(
    control: Parts,
    request: AsUser,
    backend: Named,
    run: OneRun,
    stdout: Stdout = 0,
    stderr: Stderr = 0,
    limit: Most = _MAX_LIMIT,
    wait: Wait = 0,
    acknowledge: Acknowledge = False,
    unattended: Unattended = False,
) -> RunOutput:
    """Return what the run wrote from these bytes on; the backend keeps it, also after the end.

    Whoever reads again from where the last chunks ended gets every byte once, whatever was lost on the way. A chunk
    that begins later than asked for says that the bytes before are kept no longer.
    """
    if (acknowledge or unattended) and not can_operate(request.user.role):
        note_failure(control, request.user, request.route_handler, request.path_params, Problem.PERMISSION_DENIED)
        detail = "acknowledge, unattended: only who may operate the backend may say that"
        raise ProblemError(Problem.PERMISSION_DENIED, detail)
    if acknowledge or unattended:
        bearer_token(request, changes=True)
    asked = ReadOutput(
        run=run.id,
        stdout=stdout,
        stderr=stderr,
        limit=limit,
        wait=wait,
        acknowledge=acknowledge,
        unattended=unattended,
    )
    control.audit.first(request.user, Action.RUN_OUTPUT, backend.id, run.id)
    return await control.outputs.read(backend.id, asked)


@get(
    "/output/events",
    operation_id="followOutput",
    summary="Follow what a run writes",
    tags=[TAG],
    may=can_read,
    audits=Action.RUN_OUTPUT,
    media_type="text/event-stream",
    responses=raises(Problem.REQUEST_INVALID, *NAMING, Problem.RUN_UNKNOWN, *ASKING),
)
async def follow_output(
    control: Parts, request: AsUser, backend: Named, run: OneRun, stdout: Stdout = 0, stderr: Stderr = 0
) -> ServerSentEvent:
    """Stream what the run writes as server-sent events until it has ended: `output` (a chunk), `state`, and last `end`.

    The id of an event is the offsets after it, so a browser that connects again goes on where it was
    (`Last-Event-ID`). The stream ends, without `end`, where the login does.
    """
    last = request.headers.get("last-event-id", "")
    if last:
        stdout, stderr = _offsets(last)
    asked = ReadOutput(run=run.id, stdout=stdout, stderr=stderr, limit=2**16)
    control.audit.first(request.user, Action.RUN_OUTPUT, backend.id, run.id)
    first = await control.outputs.read(backend.id, asked)
    may_read = _Permission(control, request.user, bearer_token(request), backend.id)
    return ServerSentEvent(_events(control.outputs.follow(backend.id, asked, first), may_read))


def _offsets(text: str) -> tuple[int, int]:
    found = _PLACE.fullmatch(text)
    if found is None:
        raise ProblemError(Problem.REQUEST_INVALID, "Last-Event-ID: must be the id of an event of this stream")
    return int(found[1]), int(found[2])


class _Permission:
    """Whether somebody may still read what a backend's run writes; looked at again after a while."""

    def __init__(self, control: Control, caller: Caller, token: str, backend_id: str) -> None:
        self._control = control
        self._caller = caller
        self._token = token
        self._backend_id = backend_id
        self._looked = time.monotonic()

    async def holds(self) -> bool:
        if time.monotonic() - self._looked < _CHECK:
            return True
        self._looked = time.monotonic()
        if not await still_holds(self._control, self._caller, self._token):
            return False
        with contextlib.suppress(StoreUnavailableError):  # nobody was told otherwise
            return bool(await self._control.store.backends.visible([self._backend_id], self._caller.sight))
        return True


async def _events(
    outputs: AsyncIterator[tuple[ReadOutput, RunOutput]], may_read: _Permission
) -> AsyncIterator[ServerSentEventMessage]:
    before = None
    place = {"stdout": 0, "stderr": 0}
    try:
        async for asked, output in outputs:
            if not await may_read.holds():
                return
            place = {"stdout": asked.stdout, "stderr": asked.stderr}
            for chunk in output.chunks:
                place[chunk.stream] = chunk.offset + len(chunk.data)
                yield _message("output", chunk, place)
            if output.state != before:
                yield _message("state", output.state, place)
            elif not output.chunks:
                yield ServerSentEventMessage(data=None, comment="still here")
            before = output.state
        yield _message("end", before, place)
    except AskError as error:
        yield _message("error", {"reason": error.reason, "detail": error.detail})


def _message(event: str, data: Any, place: Mapping[str, int] | None = None) -> ServerSentEventMessage:
    offsets = None if place is None else f"{place['stdout']}.{place['stderr']}"
    return ServerSentEventMessage(data=msgspec.json.encode(data), event=event, id=offsets)


@post(
    "/input",
    operation_id="writeInput",
    summary="Give a run input",
    tags=[TAG],
    status_code=200,
    may=can_operate,
    audits=Action.RUN_INPUT,
    responses=raises(Problem.REQUEST_INVALID, Problem.BODY_TOO_LARGE, *OPERATING, Problem.RUN_UNKNOWN, *ASKING),
)
async def write_input(control: Parts, request: AsUser, backend: Named, run: OneRun, data: JSONBody[Input]) -> Received:
    """Write to the standard input of a run that was started with `stdin` pipe or a `terminal`.

    Bytes that were taken before are not taken twice, so after any failure the same may be sent again.
    """
    control.audit.first(request.user, Action.RUN_INPUT, backend.id, run.id)
    asked = WriteInput(run=run.id, offset=data.offset, data=data.data, end=data.end)
    return Received(await control.outputs.write(backend.id, asked))


@post(
    "/terminal",
    operation_id="resizeTerminal",
    summary="Resize a run's terminal",
    tags=[TAG],
    status_code=200,
    may=can_operate,
    responses=raises(Problem.REQUEST_INVALID, Problem.BODY_TOO_LARGE, *OPERATING, Problem.RUN_UNKNOWN, *ASKING),
)
async def resize_terminal(control: Parts, backend: Named, run: OneRun, data: JSONBody[Terminal]) -> Resized:
    """Tell the terminal of a run its size."""
    await control.outputs.resize(backend.id, run.id, data)
    return Resized()


@post(
    "/signal",
    operation_id="signalRun",
    summary="Signal a run",
    tags=[TAG],
    status_code=200,
    may=can_operate,
    audits=Action.SIGNAL,
    responses=raises(Problem.REQUEST_INVALID, Problem.BODY_TOO_LARGE, *OPERATING, Problem.RUN_UNKNOWN, *ASKING),
)
async def signal_run(control: Parts, request: AsUser, backend: Named, run: OneRun, data: JSONBody[Signal]) -> Signalled:
    """Signal the program of a run. After SIGTERM, SIGKILL, SIGINT or SIGQUIT, which reach the whole tree, it is not
    started again."""
    with control.audit.act(request.user, Action.SIGNAL, backend.id, run.id, mode=data.mode):
        await control.programs.signal_run(request.user.name, backend.id, run.id, data.mode)
    return Signalled()
