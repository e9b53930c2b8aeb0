"""The state machine of a rule, against a slow one that looks at the whole history."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quix.server.alerting.watch import Watch
from quix.store.alert_rules import Op, Rule, Watched
from quix.store.alerts import Alert

VALUES = st.one_of(st.none(), st.integers(0, 100).map(float))
STEPS = st.lists(st.tuples(st.integers(1, 40), VALUES), max_size=40)


def rule(op: Op, threshold: float, clear: float | None, hold: float, metric: Watched = Watched.CPU) -> Rule:
    return Rule(
        id="r", name="r", metric=metric, op=op, threshold=threshold, clear=clear, hold=hold, labels={}, channels=[],
        severity="warning", enabled=True, created_by="ada", created_at=0.0,
    )  # fmt: skip


def alert(backend_id: str) -> Alert:
    return Alert(
        id="a", rule_id="r", rule_name="r", severity="warning", backend_id=backend_id, backend_name="m",
        state="firing", value=0.0, started_at=0.0, ended_at=None, silenced=False,
    )  # fmt: skip


def by_history(made: Rule, history: list[tuple[float, float | None]]) -> bool:
    """Whether an alert fires after all of a history, found in the plainest way."""
    is_firing = False
    since: float | None = None
    threshold = made.threshold or 0.0
    for at, value in history:
        if value is None:
            since = since if is_firing else None
            continue
        is_beyond = value > threshold if made.op == "above" else value < threshold
        is_clear = value <= made.clears_at if made.op == "above" else value >= made.clears_at
        if is_firing:
            is_firing = not is_clear
            since = None
        elif is_beyond:
            since = at if since is None else since
        else:
            since = None
        if since is not None and at - since >= made.hold:
            is_firing, since = True, None
    return is_firing


@given(st.sampled_from(["above", "below"]), st.integers(0, 100), st.integers(0, 50), st.integers(0, 60), STEPS)
def test_it_fires_when_the_history_says_so(
    op: Op, threshold: int, gap: int, hold: int, steps: list[tuple[int, float | None]]
) -> None:
    made = rule(op, threshold, threshold - gap if op == "above" else threshold + gap, hold)
    watch = Watch(made)
    now = 0.0
    history: list[tuple[float, float | None]] = []
    for pause, value in steps:
        now += pause
        history.append((now, value))
        if watch.look("b", value, now):
            watch.forget("b")
        for ripe in [*watch.ripe(now)]:
            assert now - ripe.since >= hold
            assert ripe.value == value
            watch.fire(alert(ripe.backend_id))
        assert ("b" in watch.firing) == by_history(made, history)
        # One is never on the way and there at once.
        assert not ("b" in watch.firing and "b" in watch.pending)


@given(st.sampled_from(["above", "below"]), st.floats(0, 100), st.sampled_from([Watched.CPU, Watched.LOAD]))
def test_without_a_clear_there_is_a_value_that_ends_it_and_none_that_flutters(
    op: Op, threshold: float, metric: Watched
) -> None:
    made = rule(op, threshold, None, 0.0, metric)
    assert made.clears_at <= threshold if op == "above" else made.clears_at >= threshold
    if metric is Watched.CPU:
        assert 0 <= made.clears_at <= 100
    watch = Watch(made)
    watch.fire(alert("b"))
    assert watch.look("b", made.clears_at, 0.0)


def test_a_changed_rule_keeps_what_fires_and_begins_the_rest_anew() -> None:
    before = Watch(rule("above", 90, 80, 10))
    before.fire(alert("a"))
    before.look("b", 95, 0)
    same, other = Watch(before.rule), Watch(rule("above", 50, 40, 10))
    same.take_over(before)
    other.take_over(before)
    assert (set(same.firing), set(same.pending)) == ({"a"}, {"b"})
    assert (set(other.firing), set(other.pending)) == ({"a"}, set())
