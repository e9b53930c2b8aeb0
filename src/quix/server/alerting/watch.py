"""One rule over many backends: who is on the way to an alert, and whose alert fires. No clock, no I/O.

    idle --beyond the threshold--> pending --as long as the rule says--> firing --on the other side of `clear`--> idle
                                     |
                                     `--within the threshold, or unknown--> idle

What is unknown neither raises an alert nor ends one.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from quix.store.alert_rules import Rule
from quix.store.alerts import Alert


class Ripe(Struct, frozen=True):
    """A backend for which the rule has held for long enough: since when, and the newest value."""

    backend_id: str
    since: float
    value: float


class Watch:
    """A rule and its backends by id. Times are those of one monotonic clock, in seconds."""

    __slots__ = ("_clears_at", "_is_above", "_threshold", "firing", "pending", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.pending: dict[str, tuple[float, float]] = {}
        self.firing: dict[str, Alert] = {}
        is_metric = rule.threshold is not None
        # Of a connection it is 1 whether the backend is away.
        self._threshold = 0.5 if rule.threshold is None else rule.threshold
        self._clears_at = rule.clears_at if is_metric else 0.5
        self._is_above = rule.op == "above"

    def take_over(self, other: Watch) -> None:
        """Go on where the same rule was before it was changed; what was on the way begins anew."""
        self.firing = other.firing
        if other.rule == self.rule:
            self.pending = other.pending

    def look(self, backend_id: str, value: float | None, now: float) -> bool:
        """Note a value; return whether the alert that fires is over by it."""
        if value is None:
            self.pending.pop(backend_id, None)
            return False
        if backend_id in self.firing:
            return value <= self._clears_at if self._is_above else value >= self._clears_at
        if value > self._threshold if self._is_above else value < self._threshold:
            known = self.pending.get(backend_id)
            self.pending[backend_id] = (now if known is None else known[0], value)
        elif self.pending:
            self.pending.pop(backend_id, None)
        return False

    def ripe(self, now: float) -> Iterator[Ripe]:
        """Yield those for which the rule has held for long enough by `now`."""
        latest = now - self.rule.hold
        for backend_id, (since, value) in self.pending.items():
            if since <= latest:
                yield Ripe(backend_id, since, value)

    def fire(self, alert: Alert) -> None:
        """An alert has been raised."""
        self.pending.pop(alert.backend_id, None)
        self.firing[alert.backend_id] = alert

    def forget(self, backend_id: str) -> None:
        """The backend is none of the rule's any more."""
        self.pending.pop(backend_id, None)
        self.firing.pop(backend_id, None)
