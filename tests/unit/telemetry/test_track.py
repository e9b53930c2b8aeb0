"""What a server holds in memory of a backend's samples."""

from __future__ import annotations

from typing import Any

import pytest

from quix.server.track import RECENT, Track
from quix.wire.messages import PushSamples
from quix.wire.reasons import Reason, Refusal
from quix.wire.samples import Sample

AT = 1_800_000_000.0


def samples(*numbers: int) -> list[Sample]:
    return [Sample(seq=number, at=AT + number, cpu=0.25, runs=float(number)) for number in numbers]


def push(track: Track, *numbers: int, series: str = "a", **more: Any) -> int:
    return track.take(PushSamples(series=series, samples=samples(*numbers), **more), 10.0, lambda _sample: True)


def waiting(track: Track) -> list[int]:
    return [seq for seq, _, _ in track.looks()]


def test_a_number_is_taken_once() -> None:
    track = Track("", 0)
    assert push(track, 1, 2, 3) == 3
    assert push(track, 1, 2, 3) == 0
    assert push(track, 2, 3, 4, 7) == 2
    assert waiting(track) == [1, 2, 3, 4, 7]


def test_what_is_in_the_store_is_known_from_the_start() -> None:
    track = Track("a", 5)
    assert push(track, 4, 5, 6) == 1
    assert track.kept == 5
    other = Track("a", 5)
    assert push(other, 1, 2, series="b") == 2
    assert other.kept == 0


def test_what_is_written_is_acknowledged_and_what_came_meanwhile_is_not() -> None:
    track = Track("", 0)
    push(track, 1, 2)
    assert [seq for seq, _, _ in track.begin_writing()] == [1, 2]
    push(track, 3)
    assert waiting(track) == [1, 2, 3], "it is all still to be seen"
    assert track.kept == 0
    track.end_writing(is_written=True)
    assert (track.kept, waiting(track)) == (2, [3])


def test_what_could_not_be_written_waits_again_in_order() -> None:
    track = Track("", 0)
    push(track, 1, 2)
    track.begin_writing()
    push(track, 3)
    track.end_writing(is_written=False)
    assert (track.kept, waiting(track)) == (0, [1, 2, 3])


def test_another_numbering_begins_while_the_one_before_is_written() -> None:
    track = Track("", 0)
    push(track, 1, 2)
    track.begin_writing()
    push(track, 3)
    push(track, 1, series="b")
    track.end_writing(is_written=False)
    assert [(seq, row[-1]) for seq, _, row in track.looks()] == [(0, 1), (0, 2), (0, 3), (1, 1)]
    assert track.kept == 0


def test_samples_that_are_not_timely_are_dropped_and_not_asked_for_again() -> None:
    track = Track("", 0)
    request = PushSamples(series="a", samples=samples(1, 2, 3))
    assert track.take(request, 10.0, lambda sample: sample.seq != 2) == 2
    assert waiting(track) == [1, 3]
    assert track.received == 3


@pytest.mark.parametrize("numbers", [(2, 1), (1, 1), (0, 0)])
def test_numbers_must_rise(numbers: tuple[int, ...]) -> None:
    track = Track("", 0)
    with pytest.raises(Refusal) as caught:
        push(track, *numbers)
    assert caught.value.reason is Reason.REQUEST_INVALID
    assert waiting(track) == []


def test_more_than_there_is_room_for_is_refused_whole() -> None:
    track = Track("", 0)
    with pytest.raises(Refusal) as caught:
        push(track, *range(1, 12))
    assert caught.value.reason is Reason.RATE_LIMITED
    assert waiting(track) == []
    track.credit += 5
    assert push(track, *range(1, 12)) == 11


def test_a_backend_that_floods_is_held_to_its_pace() -> None:
    track = Track("", 0)
    taken = 0
    for number in range(1, 1000):
        try:
            taken += push(track, number)
        except Refusal:
            continue
    assert 10 <= taken <= 12


def test_load_is_that_of_the_newest_sample_and_recent_is_bounded() -> None:
    track = Track("", 0)
    assert track.load(recent=True) is None
    for number in range(100):
        track.note(Sample(at=AT + number, cpu=number / 100, memory_used=1.0, memory_total=4.0 if number % 2 else None))
    load = track.load(recent=True)
    assert load is not None
    assert (load.at, load.cpu, load.memory, load.disk) == (AT + 99, 0.99, 0.25, None)
    assert load.recent
    assert load.recent.cpu == [number / 100 for number in range(100 - RECENT, 100)]
    assert load.recent.memory == [None, 0.25] * (RECENT // 2)
    assert load.recent.disk == [None] * RECENT


def test_a_sample_that_is_sent_again_is_no_newer_one() -> None:
    track = Track("", 0)
    for _ in range(3):
        track.note(Sample(at=AT, cpu=0.5))
    load = track.load(recent=True)
    assert load is not None
    assert load.recent
    assert load.recent.cpu == [0.5]
