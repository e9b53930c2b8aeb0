from __future__ import annotations

import random

from quix.link.backoff import Backoff


def test_waits_are_spread_evenly_below_a_cap_that_doubles_to_a_minute() -> None:
    seen: dict[int, list[float]] = {attempt: [] for attempt in range(10)}
    for seed in range(400):
        backoff = Backoff(random.Random(seed))
        for attempt in seen:
            seen[attempt].append(backoff.next())
    for attempt, waits in seen.items():
        cap = min(0.5 * 2**attempt, 60.0)
        assert 0 <= min(waits) < cap * 0.1
        assert cap * 0.9 < max(waits) <= cap
        assert abs(sum(waits) / len(waits) - cap / 2) < cap * 0.1


def test_a_reset_begins_with_short_waits_again() -> None:
    backoff = Backoff(random.Random(1))
    for _ in range(10):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 0.5


def test_patience_raises_the_cap_and_never_lowers_it() -> None:
    backoff = Backoff(random.Random(7))
    backoff.at_least(30)
    backoff.at_least(1)
    assert max(waits_of(backoff)) > 30


def waits_of(backoff: Backoff) -> list[float]:
    return [backoff.next() for _ in range(20)]
