"""Samples at an interval, pushed to the server, and kept while it is away (extension `telemetry`).

`run()` takes them, whether the server is there or not; `serve()` pushes them over a session, in their order, each until
the server says that it has it on its disk.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import UNSET

from quix import logs
from quix.agent.ring import Ring
from quix.agent.sampler import Sampler
from quix.agent.session import Session
from quix.link.outcomes import AskError
from quix.supervisor.policy_file import PolicyFile
from quix.wire.messages import PushSamples, SamplesTaken
from quix.wire.reasons import Refusal
from quix.wire.samples import LARGEST_PUSH, Sample

log = logs.get(__name__)

FILE: Final = "samples"

_INTERVAL: Final = 10.0
"""Seconds between two samples before a server has said anything."""

_LONGEST: Final = 3600.0
_TIMEOUT: Final = 30.0

_SAMPLE_BYTES: Final = 512
"""What a sample takes of a message, at most."""


class Pushes:
    """`fastest` is the shortest interval, in seconds, that a server is granted; `capacity` how many samples are kept;
    `largest` the bytes of a message.

    Samples are first taken when a server wants them; from then on also before it is reached again.
    """

    def __init__(
        self,
        sampler: Sampler,
        folder: Path,
        policy: PolicyFile,
        boot: str,
        *,
        fastest: float,
        capacity: int,
        largest: int,
    ) -> None:
        self._sampler = sampler
        self._path = folder / FILE
        self._policy = policy
        self._boot = boot
        self._fastest = fastest
        self._capacity = capacity
        self._most = max(1, min(LARGEST_PUSH, largest // 2 // _SAMPLE_BYTES))
        self._interval = max(_INTERVAL, fastest)
        # Its own place in the interval, so that a fleet that started at once does not push at once.
        self._phase = random.random()  # noqa: S311
        self._ring: Ring | None = None
        self._newest: Sample | None = None
        self._is_wanted = asyncio.Event()
        self._has_sample = asyncio.Event()
        self._is_told = asyncio.Event()
        self._is_allowed = True

    # -- taking ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Take samples until cancelled."""
        if self._path.exists():
            self._want()
        try:
            await self._is_wanted.wait()
            while True:
                await self._tick()
                if self._may():
                    await self._take()
        finally:
            if self._ring is not None:
                self._ring.close()
                self._ring = None

    def _want(self) -> None:
        if self._ring is None:
            try:
                self._ring = Ring(self._path, self._capacity, self._boot)
                self._use(self._ring.interval or self._interval)
            except OSError as error:
                log.warning("no samples are kept", path=str(self._path), error=str(error))
        self._is_wanted.set()

    async def _tick(self) -> None:
        """Wait for the next moment to take a sample; when the interval changes, that moment does."""
        clock = asyncio.get_running_loop().time
        while True:
            interval = self._interval
            phase = self._phase * interval
            at = ((clock() - phase) // interval + 1) * interval + phase
            self._is_told.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_told.wait(), at - clock())
                continue
            return

    async def _take(self) -> None:
        try:
            sample = await self._sampler.take()
        except OSError as error:
            log.warning("the machine cannot be looked at", error=str(error))
            return
        if self._ring is not None:
            try:
                sample = self._ring.append(sample)
            except OSError as error:
                log.warning("a sample could not be kept", path=str(self._path), error=str(error))
        self._newest = sample
        self._has_sample.set()

    def _may(self) -> bool:
        """Return whether the owner's policy allows it; say so when that changes."""
        try:
            self._policy.current.check("telemetry")
        except Refusal as refusal:
            if self._is_allowed:
                log.warning("no samples are taken nor pushed", detail=refusal.detail)
            self._is_allowed = False
        else:
            if not self._is_allowed:
                log.info("samples are taken and pushed again")
            self._is_allowed = True
        return self._is_allowed

    # -- pushing --------------------------------------------------------------------------------

    async def serve(self, session: Session) -> None:
        """Push what the server does not have, and then each sample when it is taken, until cancelled."""
        self._want()
        sent, room = (self._ring.kept if self._ring else 0), 1
        while True:
            self._has_sample.clear()
            if self._may():
                push = self._next(sent, room)
                answer = await self._push(session, push)
                if answer is not None:
                    sent = push.samples[-1].seq if push.samples else sent
                    room = answer.room
            await self._has_sample.wait()

    def _next(self, sent: int, room: int) -> PushSamples:
        """Return the samples past the number `sent`, as many as there is room for."""
        ring, newest = self._ring, self._newest
        if ring is None:
            return PushSamples(series="unkept", samples=[], latest=newest or UNSET)
        samples = ring.read(sent, min(room, self._most))
        sent = samples[-1].seq if samples else sent
        pending = max(0, ring.last - max(sent, ring.first - 1))
        return PushSamples(
            series=ring.series,
            samples=samples,
            pending=pending,
            latest=newest if newest is not None and pending else UNSET,
        )

    async def _push(self, session: Session, push: PushSamples) -> SamplesTaken | None:
        try:
            answer = await session.connection.ask(push, _TIMEOUT)
        except AskError as error:
            if session.connection.is_open:  # else this ends at once, and the next session begins with it
                log.warning("samples not pushed; will try again", reason=error.reason, detail=error.detail)
            return None
        if self._ring is not None:
            try:
                self._ring.note(answer.kept, answer.interval)
            except OSError as error:
                log.warning("what the server has is not noted", path=str(self._path), error=str(error))
        self._use(answer.interval)
        return answer

    def _use(self, interval: float) -> None:
        interval = min(max(interval, self._fastest), _LONGEST)
        if interval != self._interval:
            log.info("samples are taken at an interval", seconds=interval)
            self._interval = interval
            self._is_told.set()
