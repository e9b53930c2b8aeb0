"""The file of samples that an agent keeps: real files, closed, killed and torn."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quix.agent import ring
from quix.agent.ring import Ring
from quix.wire.samples import Sample

CAPACITY = 8
BOOT = "468931b5-87a5-472e-aa7f-f2d3dc1eea1c"

SLOT = ring._SLOT_SIZE

reusing = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def sample(number: int) -> Sample:
    return Sample(at=1_800_000_000.0 + number, cpu=0.5, memory_used=float(number), load=None)


def fill(kept: Ring, count: int) -> None:
    for _ in range(count):
        kept.append(sample(kept.last + 1))


def numbers(kept: Ring, after: int = 0, limit: int = 1000) -> list[int]:
    found = kept.read(after, limit)
    for each in found:
        assert each == Sample(seq=each.seq, at=sample(each.seq).at, cpu=0.5, memory_used=float(each.seq))
    return [each.seq for each in found]


@pytest.fixture
def fresh(path: Path) -> bytes:
    """What a new file holds; to make one is slow, since it is synced to the disk."""
    Ring(path, CAPACITY, BOOT).close()
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "samples"


def test_a_new_one_is_empty_and_for_its_owner_alone(path: Path) -> None:
    with Ring(path, CAPACITY, BOOT) as kept:
        assert (kept.last, kept.kept, kept.first) == (0, 0, 1)
        assert numbers(kept) == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_samples_come_back_in_order_and_the_oldest_make_place(path: Path) -> None:
    with Ring(path, CAPACITY, BOOT) as kept:
        fill(kept, 5)
        assert numbers(kept) == [1, 2, 3, 4, 5]
        assert numbers(kept, 2, 2) == [3, 4]
        fill(kept, 6)
        assert numbers(kept) == [4, 5, 6, 7, 8, 9, 10, 11]
        size = path.stat().st_size
        fill(kept, 100)
        assert path.stat().st_size == size


def test_what_the_server_has_is_not_given_again(path: Path) -> None:
    with Ring(path, CAPACITY, BOOT) as kept:
        fill(kept, 5)
        kept.note(3, 10.0)
        assert numbers(kept) == [4, 5]
        kept.note(2, 10.0)
        assert kept.kept == 3
        kept.note(99, 10.0)
        assert kept.kept == 3, "a server cannot have what was never taken"


@reusing
@given(steps=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40), st.booleans()), max_size=12))
def test_a_machine_of_pushes_and_acknowledgements(path: Path, fresh: bytes, steps: list[tuple[int, int, bool]]) -> None:
    path.write_bytes(fresh)
    kept = Ring(path, CAPACITY, BOOT)
    last = has = 0
    for count, acknowledged, is_killed in steps:
        fill(kept, count)
        last += count
        kept.note(acknowledged, 10.0)
        if has < acknowledged <= last:
            has = acknowledged
        if is_killed:  # what was written is the kernel's: as after kill -9, nothing else is done
            kept.close()
            kept = Ring(path, CAPACITY, BOOT)
        assert (kept.last, kept.kept) == (last, has)
        assert kept.interval == 10.0
        assert numbers(kept) == [*range(max(has, last - CAPACITY) + 1, last + 1)]
    kept.close()


@reusing
@given(
    count=st.integers(1, 20),
    has=st.integers(0, 20),
    start=st.integers(0, 1024 + CAPACITY * SLOT),
    torn=st.binary(min_size=1, max_size=40),
)
def test_whatever_is_torn_no_sample_is_wrong(
    path: Path, fresh: bytes, count: int, has: int, start: int, torn: bytes
) -> None:
    path.write_bytes(fresh)
    with Ring(path, CAPACITY, BOOT) as kept:
        fill(kept, count)
        kept.note(has, 10.0)
        before = numbers(kept)
        size, series = path.stat().st_size, kept.series
    with path.open("r+b") as stream:
        stream.seek(min(start, size - len(torn)))
        stream.write(torn)
    with Ring(path, CAPACITY, BOOT) as kept:
        assert kept.series == series, "one of the headers is always whole"
        found = numbers(kept)
        assert found == sorted(found)
        spoilt = set(before) - set(found)
        assert len(spoilt) <= 2, "a tear of 40 bytes reaches two samples at most"
        kept.append(sample(kept.last + 1))
        assert numbers(kept)[-1:] == [kept.last]


@pytest.mark.parametrize("cut", range(0, SLOT, 9))
def test_a_write_that_was_cut_off_is_no_sample(path: Path, cut: int) -> None:
    with Ring(path, CAPACITY, BOOT) as kept:
        fill(kept, CAPACITY)
        place = kept._place(3)
        old = os.pread(kept._file, SLOT, place)
        fill(kept, 3)
        new = os.pread(kept._file, SLOT, place)
        os.pwrite(kept._file, new[:cut] + old[cut:], place)
        assert 11 not in numbers(kept)
    with Ring(path, CAPACITY, BOOT) as kept:
        assert kept.last == 10
        assert numbers(kept) == [4, 5, 6, 7, 8, 9, 10] if cut else [3, 4, 5, 6, 7, 8, 9, 10]


def test_what_the_server_said_is_remembered(path: Path) -> None:
    with Ring(path, CAPACITY, BOOT) as kept:
        assert kept.interval == 0
        kept.note(0, 2.5)
    with Ring(path, CAPACITY, BOOT) as kept:
        assert kept.interval == 2.5


def test_after_a_boot_no_number_is_given_a_second_time(path: Path) -> None:
    with Ring(path, CAPACITY, BOOT) as kept:
        fill(kept, 3)
        lost = os.pread(kept._file, 3 * SLOT, kept._place(4))
        fill(kept, 2)
        # The power goes before the kernel has written the last two; the server may have them.
        os.pwrite(kept._file, lost, kept._place(4))
    with Ring(path, CAPACITY, "another boot") as kept:
        assert kept.append(sample(0)).seq > 5 + ring._SKIPPED - 3
    first = kept.last
    with Ring(path, CAPACITY, "a third") as kept:
        os.pwrite(kept._file, bytes(SLOT), kept._place(first))
        assert kept.append(sample(0)).seq > first


@pytest.mark.parametrize("content", [b"", b"something else", b"\0" * 5000])
def test_a_file_that_is_none_is_begun_anew(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with Ring(path, CAPACITY, BOOT) as kept:
        fill(kept, 2)
        assert numbers(kept) == [1, 2]


def test_another_size_is_another_series(path: Path) -> None:
    with Ring(path, CAPACITY, BOOT) as kept:
        fill(kept, 2)
        series = kept.series
    with Ring(path, CAPACITY * 2, BOOT) as kept:
        assert kept.last == 0
        assert kept.series != series


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    with pytest.raises(OSError, match="samples"):
        Ring(tmp_path / "samples", CAPACITY, BOOT)
