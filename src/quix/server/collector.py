"""Samples that agents push (extension `telemetry`): taken in memory, written in batches, acknowledged when written.

    push() --> a Track of each backend --flush()--> the store, a minute's worth of samples at a time
                     |
                     `-- load(), looks(): what is not written yet, and how the backend is now

An agent keeps its samples until it is told that they are on the disk, and numbers them; so a crash of the server
costs nothing, and a row is written once a minute for each backend instead of once a sample.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from quix import logs
from quix.server.session import Session
from quix.server.settings import TelemetrySettings
from quix.server.track import Load, Track
from quix.store import Store
from quix.store.errors import StoreUnavailableError
from quix.store.samples import Batch, Retention
from quix.wire.messages import PushSamples, SamplesTaken
from quix.wire.reasons import Reason, Refusal
from quix.wire.samples import Sample

log = logs.get(__name__)

_LOOK: Final = 1.0
"""Seconds between two looks at what is due to be written."""

_DELAY: Final = 60.0
"""Seconds that samples wait for more of their backend; without an acknowledgement it is its agent that has them."""

_TOGETHER: Final = 50
"""Backends written in one transaction: some 15 ms of work."""

_MOST: Final = 200_000
"""Samples that wait to be written, at most; when the store is away for long, agents keep theirs."""

_FILL_RATE: Final = 5000.0
"""Samples a second of those that were kept back, from all agents together; some 7 % of a core."""

_AHEAD: Final = 300.0
"""Seconds that a backend's clock may be ahead."""


class Collector:
    """Answers pushes, and keeps what came in the store, from `run()`."""

    def __init__(self, store: Store, settings: TelemetrySettings) -> None:
        self._store = store
        self._interval = settings.interval
        self._retention = retention(settings)
        self._tracks: dict[str, Track] = {}
        self._marks: dict[str, tuple[str, int]] = {}
        self._due: dict[str, float] = {}
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._writer: asyncio.Future[None] | None = None
        self._allowance = _FILL_RATE
        self._allowed_at = time.monotonic()

    async def begin(self) -> None:
        """Learn what the store has already; before the first push."""
        self._marks = await self._store.samples.marks()

    # -- what comes in --------------------------------------------------------------------------

    def push(self, session: Session, request: PushSamples) -> SamplesTaken:
        """Take an agent's samples; those that were taken before are known by their number.

        Raises:
            Refusal: RATE_LIMITED, more than there was room for; UNAVAILABLE, too many wait to be written.
        """
        if self._waiting >= _MOST:
            raise Refusal(Reason.UNAVAILABLE, "samples cannot be written at the moment; keep them")
        track = self._track(session.backend_id)
        dropped = track.dropped
        taken = track.take(request, self._interval, self._is_timely)
        if track.dropped and not dropped:
            log.warning("samples of another time are dropped; is its clock right?", backend=session.backend_id)
        self._expect(session.backend_id, taken)
        newest = request.latest or (request.samples[-1] if request.samples and not request.pending else None)
        if newest and self._is_timely(newest):
            track.note(newest)
        # No more than a push takes: who asks without pushing gathers nothing, nor takes it from the fleet.
        extra = self._grant(min(request.pending, track.headroom))
        track.credit += extra
        return SamplesTaken(kept=track.kept, interval=self._interval, room=1 + max(extra, track.spare))

    def add(self, backend_id: str, sample: Sample) -> None:
        """Take a sample of a backend that does not push; it has no number."""
        track = self._track(backend_id)
        track.append(sample)
        track.note(sample)
        self._expect(backend_id, 1)

    def _track(self, backend_id: str) -> Track:
        track = self._tracks.get(backend_id)
        if track is None:
            track = self._tracks[backend_id] = Track(*self._marks.pop(backend_id, ("", 0)))
        return track

    def _expect(self, backend_id: str, taken: int) -> None:
        if not taken:
            return
        self._waiting += taken
        if backend_id not in self._due:
            # The first time anywhere in the delay, so that those who came together do not fall due together for ever.
            is_first = not self._tracks[backend_id].commits
            self._due[backend_id] = time.monotonic() + _DELAY * (random.random() if is_first else 1)  # noqa: S311

    def _is_timely(self, sample: Sample) -> bool:
        now = time.time()
        return now - self._retention.hour < sample.at < now + _AHEAD

    def _grant(self, wanted: int) -> int:
        """Return how many more samples that were kept back an agent may send with its next push."""
        now = time.monotonic()
        self._allowance = min(_FILL_RATE, self._allowance + (now - self._allowed_at) * _FILL_RATE)
        self._allowed_at = now
        granted = min(wanted, int(self._allowance))
        self._allowance -= granted
        return granted

    # -- what is known --------------------------------------------------------------------------

    def load(self, backend_id: str, *, recent: bool = False) -> Load | None:
        """Return how a backend is by its newest sample, or None where there was none since the server started."""
        track = self._tracks.get(backend_id)
        return track.load(recent=recent) if track else None

    def track(self, backend_id: str) -> Track | None:
        """Return what is not written yet of a backend."""
        return self._tracks.get(backend_id)

    @property
    def waiting(self) -> int:
        """How many samples are not written yet."""
        return self._waiting

    def forget(self, backend_id: str) -> None:
        """The backend has been removed."""
        track = self._tracks.pop(backend_id, None)
        if track is not None:
            self._waiting -= track.waiting

    # -- writing --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Write what is due until cancelled."""
        while True:
            await asyncio.sleep(_LOOK)
            # Shielded: to write something a second time, not knowing that it was written, could count it twice.
            self._writer = asyncio.ensure_future(self._write(self._ripe()))
            await asyncio.shield(self._writer)

    def _ripe(self) -> list[str]:
        now = time.monotonic()
        if self._waiting > _MOST // 4:
            return [*self._due]
        return [backend_id for backend_id, due_at in self._due.items() if due_at <= now]

    async def flush(self) -> None:
        """Write all there is."""
        await self._write([*self._due])

    async def _write(self, backend_ids: Sequence[str]) -> None:
        async with self._turn:
            for some in _batched(backend_ids, _TOGETHER):
                due = [backend_id for backend_id in some if self._due.pop(backend_id, None) is not None]
                tracks = {backend_id: self._tracks[backend_id] for backend_id in due if backend_id in self._tracks}
                if not await self._add(tracks):
                    return

    async def _add(self, tracks: dict[str, Track]) -> bool:
        """Write the samples of some backends in one transaction; return whether they are written."""
        batches = [Batch(backend_id, track.series, track.begin_writing()) for backend_id, track in tracks.items()]
        try:
            await self._store.samples.add(batches, self._retention)
        except StoreUnavailableError as error:
            log.warning("samples not written; will try again", error=str(error))
            self._settle(tracks, batches, is_written=False)
            return False
        self._settle(tracks, batches, is_written=True)
        return True

    def _settle(self, tracks: dict[str, Track], batches: list[Batch], *, is_written: bool) -> None:
        for (backend_id, track), batch in zip(tracks.items(), batches, strict=True):
            track.end_writing(is_written=is_written)
            if is_written:
                self._waiting -= len(batch.looks)
            if track.waiting:
                self._due.setdefault(backend_id, time.monotonic() + _DELAY)


def retention(settings: TelemetrySettings) -> Retention:
    return Retention(raw=settings.raw_keep, minute=settings.minute_keep, hour=settings.hour_keep)


def _batched(items: Sequence[str], size: int) -> Iterator[list[str]]:
    iterator = iter(items)
    while some := [*islice(iterator, size)]:
        yield some
