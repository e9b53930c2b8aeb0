"""The samples that the server does not have yet, on disk: a file of fixed size in which the oldest makes place.

    header 0 | header 1 | slot | slot | slot ...     sample N is in slot N modulo their number

Each header and each slot carries a checksum, so half of one that was written when the agent was killed or the power
went is known for what it is. Headers are written in turn: one of the two is always whole. Samples are not synced to
the disk: when the agent dies the kernel still has all of it, and when the machine does, the last seconds may be lost.
Their numbers are not used again, for the server may know them: after each boot some are skipped.
"""

from __future__ import annotations

import os
import secrets
import struct
import zlib
from collections.abc import Iterator
from math import isnan, nan
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import msgspec

from quix import logs
from quix.files import write_private
from quix.wire.samples import METRICS, Sample

log = logs.get(__name__)

_MAGIC: Final = b"quix-samples-1\n\0"
_HEADER: Final = struct.Struct("<16sQ16s36sQQd")
"""The magic, and the fields of `_Header`."""

_SLOT: Final = struct.Struct(f"<Qd{len(METRICS)}d")
_CHECK: Final = struct.Struct("<I")

_HEADER_SIZE: Final = 512
"""A sector each, so that one torn write cannot spoil both."""

_SLOT_SIZE: Final = _SLOT.size + _CHECK.size
_FIRST_SLOT: Final = 2 * _HEADER_SIZE

_SKIPPED: Final = 100
"""Numbers that are skipped after a boot, and with them as many of the oldest slots: more than samples are taken before
the kernel writes them to the disk."""

_NUMBER: Final = struct.Struct("<Q")


class _Header(NamedTuple):
    """`turn` counts headers. `boot` is the boot that it was written in; numbers up to `used` are not given to samples
    any more. The server has the samples up to `kept`, and wants one each `interval` seconds; 0: it has not said so."""

    turn: int
    series: str
    boot: str
    used: int
    kept: int
    interval: float


class Ring:
    """The file, open; made where there is none, or none that can be used. One process may have it open.

    `boot` is another text after each boot of the machine.

    Attributes:
        last: the number of the newest sample; 0 before the first.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, path: Path, capacity: int, boot: str) -> None:
        self._path = path
        self._capacity = capacity
        if not _is_ring(path, capacity):
            _make(path, capacity, boot)
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            header = _newest_header(self._file)
            assert header is not None
            self._header = header
            self.last = max([header.kept, header.used, *self._numbers()])
            if header.boot != boot:
                self.last += _SKIPPED
                self._write_header(header._replace(boot=boot, used=self.last))
                os.fdatasync(self._file)
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._file)

    @property
    def series(self) -> str:
        """Names the numbering of the samples."""
        return self._header.series

    @property
    def kept(self) -> int:
        """The number up to which the server has the samples."""
        return self._header.kept

    @property
    def interval(self) -> float:
        """How often the server wants a sample, in seconds; 0 where it has not said so yet."""
        return self._header.interval

    @property
    def first(self) -> int:
        """The number of the oldest sample that is wanted and still there."""
        return max(self.kept, self.last - self._capacity) + 1

    def append(self, sample: Sample) -> Sample:
        """Keep a sample as the newest; return it with its number.

        Raises:
            OSError: it could not be written.
        """
        numbered = msgspec.structs.replace(sample, seq=self.last + 1)
        self._write_slot(numbered)
        self.last += 1
        return numbered

    def read(self, after: int, limit: int) -> list[Sample]:
        """Return the next samples past the number `after`, `limit` at most; those that are spoilt are left out."""
        start = max(after + 1, self.first)
        found: list[Sample] = []
        for seq in range(start, self.last + 1):
            if len(found) == limit:
                break
            sample = _sample(os.pread(self._file, _SLOT_SIZE, self._place(seq)))
            if sample is not None and sample.seq == seq:
                found.append(sample)
        return found

    def note(self, kept: int, interval: float) -> None:
        """The server has all samples up to the number `kept`, and wants one each `interval` seconds.

        Raises:
            OSError: that could not be written; the server may be sent some again.
        """
        header = self._header._replace(kept=kept if self.kept < kept <= self.last else self.kept, interval=interval)
        if header != self._header:
            self._write_header(header)

    def _write_header(self, header: _Header) -> None:
        self._header = header._replace(turn=header.turn + 1)
        os.pwrite(self._file, _packed(self._header), self._header.turn % 2 * _HEADER_SIZE)

    def _place(self, seq: int) -> int:
        return _FIRST_SLOT + seq % self._capacity * _SLOT_SIZE

    def _write_slot(self, sample: Sample) -> None:
        seq, at, *metrics = msgspec.structs.astuple(sample)
        slot = _SLOT.pack(seq, at, *(nan if value is None else value for value in metrics))
        os.pwrite(self._file, slot + _CHECK.pack(zlib.crc32(slot)), self._place(seq))

    def _numbers(self) -> Iterator[int]:
        """Yield the number of each sample that is whole, in no order."""
        data = os.pread(self._file, self._capacity * _SLOT_SIZE, _FIRST_SLOT)
        for place in range(0, len(data), _SLOT_SIZE):
            slot = data[place : place + _SLOT_SIZE]
            (seq,) = _NUMBER.unpack_from(slot)
            if seq % self._capacity == place // _SLOT_SIZE and _is_whole(slot, _SLOT.size):
                yield seq


def _is_whole(data: bytes, size: int) -> bool:
    """Return whether the checksum that follows the first `size` bytes is theirs."""
    return data[size : size + _CHECK.size] == _CHECK.pack(zlib.crc32(data[:size]))


def _packed(header: _Header) -> bytes:
    data = _HEADER.pack(_MAGIC, header.turn, header.series.encode(), header.boot.encode(), *header[3:])
    return data + _CHECK.pack(zlib.crc32(data))


def _newest_header(file: int) -> _Header | None:
    """Return the newer of the headers that are whole."""
    found = []
    for place in (0, _HEADER_SIZE):
        data = os.pread(file, _HEADER.size + _CHECK.size, place)
        if data.startswith(_MAGIC) and _is_whole(data, _HEADER.size):
            _, turn, series, boot, *numbers = _HEADER.unpack_from(data)
            found.append(_Header(turn, _text(series), _text(boot), *numbers))
    return max(found, default=None)


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode()


def _is_ring(path: Path, capacity: int) -> bool:
    """Return whether there is a file that can be used; one of another size is not."""
    try:
        with path.open("rb") as stream:
            has_header = _newest_header(stream.fileno()) is not None
            size = os.fstat(stream.fileno()).st_size
    except FileNotFoundError:
        return False
    if has_header and size == _FIRST_SLOT + capacity * _SLOT_SIZE:
        return True
    log.warning("the file of samples is begun anew; what it held is lost", path=str(path), has_header=has_header)
    return False


def _make(path: Path, capacity: int, boot: str) -> None:
    header = _packed(_Header(0, secrets.token_hex(8), boot, 0, 0, 0.0)).ljust(_HEADER_SIZE, b"\0")
    # All of it at once, so that there is room for a sample also when the disk is full later.
    write_private(path, 2 * header + bytes(capacity * _SLOT_SIZE))


def _sample(slot: bytes) -> Sample | None:
    if not _is_whole(slot, _SLOT.size):
        return None
    seq, at, *metrics = _SLOT.unpack_from(slot)
    values = (None if isnan(value) else value for value in metrics)
    return Sample(seq=seq, at=at, **dict(zip(METRICS, values, strict=True)))
