"""What a server holds in memory of one backend's samples: a few hundred bytes."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from itertools import pairwise
from math import isnan, nan
from typing import Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from quix.store.blocks import WIDTH
from quix.store.samples import Look
from quix.wire.messages import PushSamples
from quix.wire.reasons import Reason, Refusal
from quix.wire.samples import LARGEST_PUSH, METRICS, Sample

_PACKED: Final = struct.Struct(f"<Qd{WIDTH}f")
"""A sample that waits to be written: its number, its time, and its metrics."""

_PACE: Final = 2.0
"""How often a backend may push a sample, against how often it was told to."""

_CREDIT: Final = 10.0
"""Samples that a backend may push at once without having been given room for them."""

RECENT: Final = 30
"""Samples of each backend that are kept in memory, to be drawn as a small line."""

_FIELDS: Final = 3
_STEPS: Final = 200
_UNKNOWN: Final = 255


class Recent(Struct, frozen=True):
    """Shares, 0 to 1, of the last samples, oldest first; null where a sample did not tell."""

    cpu: list[float | None]
    memory: list[float | None]
    disk: list[float | None]


class Load(Struct, frozen=True, kw_only=True):
    """How a backend was at `at` (epoch seconds): shares, 0 to 1, of its processors, of its memory and of its fullest
    disk, that are in use; null where it does not tell. `recent` only where it was asked for."""

    at: float
    cpu: float | None
    memory: float | None
    disk: float | None
    recent: Recent | UnsetType = UNSET


class Track:
    """Attributes:
    series: the numbering of the samples that wait.
    received, kept: the number of the last sample that came, and of the last that is in the store.
    credit: samples that the backend may push now.
    commits: how often its samples were written.
    dropped: how many samples were not timely.
    """

    __slots__ = (
        "_credited_at", "_newest", "_received_before", "_recent", "_waiting", "_writing",
        "commits", "credit", "dropped", "kept", "received", "series",
    )  # fmt: skip

    def __init__(self, series: str, kept: int) -> None:
        self.series = series
        self.received = kept
        self.kept = kept
        self.commits = 0
        self.dropped = 0
        self.credit = _CREDIT
        self._credited_at = time.monotonic()
        self._waiting = bytearray()
        self._writing = b""
        self._received_before = 0
        self._newest = b""
        self._recent = bytearray()

    def take(self, request: PushSamples, interval: float, is_timely: Callable[[Sample], bool]) -> int:
        """Take what is new of a push, and return how many samples that is; those that are not timely are not kept.

        Raises:
            Refusal: RATE_LIMITED, more than the backend may push now; REQUEST_INVALID, they are in no order.
        """
        if any(one.seq >= other.seq for one, other in pairwise(request.samples)):
            raise Refusal(Reason.REQUEST_INVALID, "msg.samples: their numbers must rise")
        if request.series != self.series:
            self._begin(request.series)
        fresh = [sample for sample in request.samples if sample.seq > self.received]
        if not fresh:
            return 0
        self._spend(len(fresh), interval)
        timely = [sample for sample in fresh if is_timely(sample)]
        for sample in timely:
            self.append(sample)
        self.received = fresh[-1].seq
        self.dropped += len(fresh) - len(timely)
        return len(timely)

    def _begin(self, series: str) -> None:
        # What is left of the other numbering is written too, without numbers.
        self._waiting, self._writing = bytearray(_unnumbered(self._waiting)), _unnumbered(self._writing)
        self.series, self.received, self.kept, self._received_before = series, 0, 0, 0

    def _spend(self, count: int, interval: float) -> None:
        now = time.monotonic()
        if self.credit < _CREDIT:
            self.credit = min(_CREDIT, self.credit + (now - self._credited_at) * _PACE / interval)
        self._credited_at = now
        if count > self.credit:
            raise Refusal(Reason.RATE_LIMITED, f"msg.samples: room for {int(self.credit)} at the moment")
        self.credit -= count

    @property
    def headroom(self) -> int:
        """How much room it may be given: with what it has, no more than one push takes."""
        return max(0, int(LARGEST_PUSH - 1 - self.credit))

    @property
    def spare(self) -> int:
        """How many samples it was given room for, and has not pushed."""
        return max(0, int(self.credit - _CREDIT))

    def append(self, sample: Sample) -> None:
        """Let a sample wait to be written."""
        self._waiting += _packed(sample)

    # -- writing --------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many samples wait, those that are being written not counted."""
        return len(self._waiting) // _PACKED.size

    @property
    def is_writing(self) -> bool:
        """Whether it is open at the moment what is in the store and what is not."""
        return bool(self._writing)

    def begin_writing(self) -> list[Look]:
        """Return all that waits."""
        self._writing, self._waiting = bytes(self._waiting), bytearray()
        self._received_before = self.received
        return [(row[0], row[1], row[2:]) for row in _PACKED.iter_unpack(self._writing)]

    def end_writing(self, *, is_written: bool) -> None:
        if is_written:
            self.kept = max(self.kept, self._received_before)
            self.commits += 1
        else:
            self._waiting[:0] = self._writing
        self._writing = b""

    def looks(self) -> list[Look]:
        """Return the samples that are not in the store."""
        return [(row[0], row[1], row[2:]) for row in _PACKED.iter_unpack(self._writing + bytes(self._waiting))]

    # -- how it is now --------------------------------------------------------------------------

    def note(self, sample: Sample) -> None:
        """This is the newest sample."""
        packed = _packed(sample)
        if packed == self._newest:
            return
        self._newest = packed
        shares = (sample.cpu, _share(sample.memory_used, sample.memory_total), sample.disk_fullest)
        self._recent += bytes(_UNKNOWN if share is None else round(share * _STEPS) for share in shares)
        del self._recent[: -RECENT * _FIELDS]

    @property
    def stamp(self) -> bytes:
        """The same as long as no newer sample has come; empty before the first."""
        return self._newest

    def newest(self) -> Sample | None:
        """Return the newest sample, with seven digits or so, or None where there was none since the server started."""
        if not self._newest:
            return None
        seq, at, *metrics = _PACKED.unpack(self._newest)
        known = {name: value for name, value in zip(METRICS, metrics, strict=True) if not isnan(value)}
        return Sample(seq=seq, at=at, **known)

    def load(self, *, recent: bool) -> Load | None:
        newest = self.newest()
        if newest is None:
            return None
        return Load(
            at=newest.at,
            cpu=_rounded(newest.cpu),
            memory=_share(newest.memory_used, newest.memory_total),
            disk=_rounded(newest.disk_fullest),
            recent=self._lines() if recent else UNSET,
        )

    def _lines(self) -> Recent:
        values = [None if value == _UNKNOWN else value / _STEPS for value in self._recent]
        return Recent(*(values[field::_FIELDS] for field in range(_FIELDS)))


def _unnumbered(rows: bytes | bytearray) -> bytes:
    return b"".join(_PACKED.pack(0, *row[1:]) for row in _PACKED.iter_unpack(bytes(rows)))


def _packed(sample: Sample) -> bytes:
    seq, at, *metrics = msgspec.structs.astuple(sample)
    return _PACKED.pack(seq, round(at, 3), *(nan if value is None else value for value in metrics))


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def _share(used: float | None, total: float | None) -> float | None:
    if used is None or not total:
        return None
    return round(min(1.0, used / total), 4)
