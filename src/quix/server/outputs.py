"""What runs write and read, between operators and backends. Nothing of it is kept here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from quix.link.outcomes import (
    AskError,
    BackendOfflineError,
    ConnectionLostError,
    RefusedError,
    RequestTimeoutError,
    TooBusyError,
)
from quix.server.fleet import Fleet
from quix.server.programs import Programs
from quix.store import Store
from quix.store.errors import StoreUnavailableError
from quix.wire.messages import ReadOutput, ResizeTerminal, RunOutput, WriteInput
from quix.wire.reasons import Reason
from quix.wire.runs import Terminal

LONGEST_WAIT: Final = 20.0
"""Seconds that one read may wait for output."""

_PAUSE: Final = 1.0
"""Seconds from one read to the next where the first brought nothing."""


class Outputs:
    """Reads and writes by offset, so that whatever is lost on the way can be asked for again."""

    def __init__(
        self, fleet: Fleet, programs: Programs, store: Store, *, ask_timeout: float, max_in_progress: int
    ) -> None:
        self._fleet = fleet
        self._programs = programs
        self._store = store
        self._ask_timeout = ask_timeout
        # Half of what a backend need accept, so that there is room for others.
        self._places = max_in_progress // 2
        self._waiting: dict[str, int] = {}

    async def read(self, backend_id: str, request: ReadOutput) -> RunOutput:
        """Return what a run wrote from these offsets on.

        Raises:
            AskError: the backend could not be asked, or knows no such run (`run_unknown`).
        """
        self._programs.require_runs(backend_id)
        if request.wait > 0:
            if self._waiting.get(backend_id, 0) < self._places:
                return await self._wait(backend_id, request)
            await asyncio.sleep(min(request.wait, _PAUSE))
            request = msgspec.structs.replace(request, wait=0)
        return await self._fleet.ask(backend_id, request)

    async def _wait(self, backend_id: str, request: ReadOutput) -> RunOutput:
        answer = self._fleet.ask(backend_id, request, request.wait + self._ask_timeout)
        self._waiting[backend_id] = self._waiting.get(backend_id, 0) + 1
        answer.add_done_callback(lambda _: self._leave(backend_id))
        # Who hangs up takes nothing back: the request waits on at the backend, and has its place until it is over.
        return await asyncio.shield(answer)

    def _leave(self, backend_id: str) -> None:
        self._waiting[backend_id] -= 1
        if not self._waiting[backend_id]:
            del self._waiting[backend_id]

    async def follow(
        self, backend_id: str, asked: ReadOutput, first: RunOutput
    ) -> AsyncIterator[tuple[ReadOutput, RunOutput]]:
        """Yield what a run writes until it has ended and all was read, each time with the offsets before it.

        A backend that is away is waited for; meanwhile the last answer is yielded again, without chunks.

        Args:
            asked: what `first` is the answer to.

        Raises:
            AskError: the backend refuses, as where nothing is kept of the run any more; or it was removed or revoked.
        """
        output, next_at = first, 0.0
        while True:
            yield asked, output
            if output.state.state == "ended" and not output.chunks:
                return
            asked = _past(asked, output)
            if not any(chunk.data for chunk in output.chunks):
                # An agent that does not wait, as it is asked to, is not asked without a pause.
                await asyncio.sleep(next_at - time.monotonic())
            next_at = time.monotonic() + _PAUSE
            output = await self._next(backend_id, msgspec.structs.replace(asked, wait=LONGEST_WAIT), output)

    async def _next(self, backend_id: str, asked: ReadOutput, before: RunOutput) -> RunOutput:
        try:
            return await self.read(backend_id, asked)
        except AskError as error:
            if not _is_passing(error):
                raise
            await asyncio.sleep(_PAUSE)
            if self._fleet.session(backend_id) is None:
                await self._require_one_that_may_return(backend_id)
                await self._fleet.returned(backend_id, LONGEST_WAIT)
            return RunOutput(state=before.state, chunks=[])

    async def _require_one_that_may_return(self, backend_id: str) -> None:
        try:
            backend = await self._store.backends.get(backend_id)
        except StoreUnavailableError:
            return  # it is looked up again when the wait is over
        if backend is None or backend.revoked_at is not None:
            raise BackendOfflineError("The backend was removed or revoked, and does not come back.")

    async def write(self, backend_id: str, request: WriteInput) -> int:
        """Give a run input; return how many bytes it has taken so far."""
        self._programs.require_runs(backend_id)
        return (await self._fleet.ask(backend_id, request)).received

    async def resize(self, backend_id: str, run_id: str, size: Terminal) -> None:
        """Tell a run's terminal its size."""
        self._programs.require_runs(backend_id)
        await self._fleet.ask(backend_id, ResizeTerminal(run=run_id, size=size))


def _is_passing(error: AskError) -> bool:
    """Whether the backend is away for a while, or what it reads by is."""
    if isinstance(error, RefusedError):
        return error.reason == Reason.UNAVAILABLE
    return isinstance(error, BackendOfflineError | ConnectionLostError | RequestTimeoutError | TooBusyError)


def _past(asked: ReadOutput, output: RunOutput) -> ReadOutput:
    """Return what to ask for after an answer."""
    offsets = {"stdout": asked.stdout, "stderr": asked.stderr}
    for chunk in output.chunks:
        offsets[chunk.stream] = chunk.offset + len(chunk.data)
    return msgspec.structs.replace(asked, **offsets)
