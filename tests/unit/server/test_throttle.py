"""How long guessing takes, with a clock that jumps."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from quix.server.throttle import ENTRIES, LONGEST_WAIT, MEMORY, PAIR_LIMIT, SOURCE_LIMIT, Throttle

HERE, THERE = "192.0.2.1", "198.51.100.9"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def throttle() -> tuple[Throttle, Clock]:
    clock = Clock()
    return Throttle(clock), clock


def test_a_few_mistakes_cost_nothing() -> None:
    it, _ = throttle()
    for _ in range(PAIR_LIMIT.free):
        assert it.wait("ada", HERE) == 0
        it.failed("ada", HERE)
    assert it.wait("ada", HERE) == 0


def test_each_further_failure_doubles_the_wait_up_to_the_longest() -> None:
    it, clock = throttle()
    for _ in range(PAIR_LIMIT.free):
        it.failed("ada", HERE)
    waits = []
    for _ in range(12):
        it.failed("ada", HERE)
        waits.append(it.wait("ada", HERE))
        clock.now += waits[-1]
        assert it.wait("ada", HERE) == 0
    assert waits[:9] == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert waits[9:] == [LONGEST_WAIT] * 3


def test_the_wait_runs_down() -> None:
    it, clock = throttle()
    for _ in range(PAIR_LIMIT.free + 4):
        it.failed("ada", HERE)
    assert it.wait("ada", HERE) == 8
    clock.now += 5
    assert it.wait("ada", HERE) == 3


def test_nobody_is_kept_out_from_elsewhere() -> None:
    it, clock = throttle()
    for _ in range(1000):
        it.failed("ada", HERE)
        clock.now += 1
    assert it.wait("ada", HERE) > 0
    assert it.wait("ada", THERE) == 0


def test_one_source_cannot_try_many_users() -> None:
    it, _ = throttle()
    for number in range(SOURCE_LIMIT.free + 1):
        assert it.wait(f"u{number}", HERE) == 0
        it.failed(f"u{number}", HERE)
    assert it.wait("never tried", HERE) == 1
    assert it.wait("never tried", THERE) == 0


def test_a_success_forgets_the_users_failures_from_there() -> None:
    it, _ = throttle()
    for _ in range(PAIR_LIMIT.free + 3):
        it.failed("ada", HERE)
    it.succeeded("ada", THERE)
    assert it.wait("ada", HERE) > 0
    it.succeeded("ada", HERE)
    assert it.wait("ada", HERE) == 0


def test_an_account_of_his_own_does_not_let_an_attacker_guess_on() -> None:
    it, _ = throttle()
    guesses = 0
    for number in range(1000):
        if it.wait(f"u{number}", HERE) == 0:
            guesses += 1
            it.failed(f"u{number}", HERE)
            it.succeeded("mallory", HERE)
    assert guesses == SOURCE_LIMIT.free + 1


def test_all_is_forgotten_after_a_while_without_failures() -> None:
    it, clock = throttle()
    for _ in range(PAIR_LIMIT.free + 5):
        it.failed("ada", HERE)
    clock.now += MEMORY
    assert it.wait("ada", HERE) == 0
    it.failed("ada", HERE)
    assert it.wait("ada", HERE) == 0, "the count began anew"


def test_an_ipv6_network_is_one_source() -> None:
    it, _ = throttle()
    for number in range(SOURCE_LIMIT.free + 1):
        it.failed(f"u{number}", f"2001:db8:0:1::{number:x}")
    assert it.wait("ada", "2001:db8:0:1:ffff::1") > 0
    assert it.wait("ada", "2001:db8:0:2::1") == 0


def test_an_ipv4_address_is_the_same_in_ipv6_dress() -> None:
    it, _ = throttle()
    for _ in range(PAIR_LIMIT.free + 1):
        it.failed("ada", f"::ffff:{HERE}")
    assert it.wait("ada", HERE) > 0
    assert it.wait("ada", f"::ffff:{THERE}") == 0


def test_what_is_no_ip_address_is_a_source_as_it_is() -> None:
    it, _ = throttle()
    for _ in range(PAIR_LIMIT.free + 1):
        it.failed("ada", "unix")
    assert it.wait("ada", "unix") > 0
    assert it.wait("ada", "another") == 0


def test_memory_is_bounded_and_the_busiest_source_stays_known() -> None:
    it, _ = throttle()
    for number in range(2 * ENTRIES):
        it.failed(f"u{number}", HERE)
        if number % 2:
            it.failed("ada", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(it._pairs._counts) == ENTRIES
    assert len(it._sources._counts) <= ENTRIES
    assert it.wait("ada", HERE) > 0


@given(st.integers(0, 5000), st.floats(0, 1e6))
def test_a_wait_is_never_negative_nor_above_the_longest(failures: int, later: float) -> None:
    it, clock = throttle()
    for _ in range(failures):
        it.failed("ada", HERE)
    clock.now += later
    assert 0 <= it.wait("ada", HERE) <= LONGEST_WAIT


class Guessing(RuleBasedStateMachine):
    """An attacker who does whatever he likes from one source never gets further than the limits let him."""

    def __init__(self) -> None:
        super().__init__()
        self.it, self.clock = throttle()
        self.guesses: list[float] = []

    def may(self, user: str) -> bool:
        return self.it.wait(user, HERE) == 0

    @rule(user=st.sampled_from("abcdef"))
    def guess(self, user: str) -> None:
        if self.may(user):
            self.it.failed(user, HERE)
            self.guesses.append(self.clock.now)

    @rule(seconds=st.floats(0.1, 400))
    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds

    @precondition(lambda self: self.may("mallory"))
    @rule()
    def log_in(self) -> None:
        self.it.succeeded("mallory", HERE)

    @invariant()
    def guesses_are_few(self) -> None:
        recent = [at for at in self.guesses if at > self.clock.now - LONGEST_WAIT]
        # Twenty are free, and then at most one at each doubling, and one at the longest wait.
        assert len(recent) <= SOURCE_LIMIT.free + 10


TestGuessing = Guessing.TestCase
TestGuessing.settings = settings(max_examples=30, stateful_step_count=60, deadline=None)
