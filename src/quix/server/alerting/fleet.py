"""The fleet as rules look at it: each backend with the rules that are about it, and what was last seen of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from quix.server.alerting.watch import Watch
from quix.server.collector import Collector
from quix.server.fleet import Fleet
from quix.store.alert_rules import Watched
from quix.store.roster import Known
from quix.wire.samples import Sample

Over = tuple[Watch, str, float]
"""A rule, a backend whose alert is over, and the value by which it is."""


def _share(used: float | None, total: float | None) -> float | None:
    return None if used is None or not total else min(100.0, 100 * used / total)


def _per_cent(share: float | None) -> float | None:
    return None if share is None else 100 * share


_MEASURES: Final[dict[Watched, Callable[[Sample], float | None]]] = {
    Watched.CPU: lambda sample: _per_cent(sample.cpu),
    Watched.CPU_BUSIEST: lambda sample: _per_cent(sample.cpu_busiest),
    Watched.MEMORY: lambda sample: _share(sample.memory_used, sample.memory_total),
    Watched.DISK: lambda sample: _share(sample.disk_used, sample.disk_total),
    Watched.DISK_FULLEST: lambda sample: _per_cent(sample.disk_fullest),
    Watched.NET_RECEIVED: lambda sample: sample.net_received,
    Watched.NET_SENT: lambda sample: sample.net_sent,
    Watched.LOAD: lambda sample: sample.load,
    Watched.RUNS: lambda sample: sample.runs,
}


class Member:
    """A backend.

    Attributes:
        known: what the store says of it.
        away_since: when it was first seen to be away (monotonic), or None while it is here.
    """

    __slots__ = (
        "_fresh_at", "_is_stale", "_must_look", "_on_connection", "_on_metrics", "_stamp", "away_since", "known",
        "was_here",
    )  # fmt: skip

    def __init__(self, known: Known) -> None:
        self.known = known
        self.was_here = known.was_here
        self.away_since: float | None = None
        self._on_connection: list[Watch] = []
        self._on_metrics: list[tuple[Watch, Callable[[Sample], float | None]]] = []
        self._stamp = b""
        self._fresh_at = 0.0
        self._is_stale = True
        self._must_look = True

    def watch_by(self, watches: Iterable[Watch]) -> list[Watch]:
        """Take the rules that are about it; return those that are not."""
        others = []
        self._on_connection, self._on_metrics = [], []
        for watch in watches:
            its = self.known.labels
            if not all(its.get(name) == value for name, value in watch.rule.labels.items()):
                others.append(watch)
            elif watch.rule.metric is Watched.CONNECTION:
                self._on_connection.append(watch)
            else:
                self._on_metrics.append((watch, _MEASURES[watch.rule.metric]))
        self._must_look = True
        return others

    def note_here(self) -> None:
        """It has been here, whether or not it was seen: so it can be missed."""
        self._must_look = self._must_look or not self.was_here
        self.was_here = True

    def look_again(self) -> None:
        """Look at what was looked at already: it was not kept."""
        self._must_look = True

    def look(self, fleet: Fleet, collector: Collector, now: float, patience: float) -> list[Over]:
        """Look at the backend; return the alerts that are over. After `patience` seconds a sample tells nothing more,
        and while a backend is away none does."""
        if fleet.session(self.known.id) is None:
            return self._look_away(now)
        over: list[Over] = []
        if self.away_since is not None or self._must_look:
            self.away_since, self.was_here = None, True
            over += self._told(((watch, 0.0) for watch in self._on_connection), now)
        track = collector.track(self.known.id)
        stamp = track.stamp if track is not None else b""
        if track is not None and stamp is not self._stamp:
            self._stamp, self._fresh_at, self._is_stale, self._must_look = stamp, now, False, True
        elif not self._is_stale and now - self._fresh_at > patience:
            self._lose_sight()
        if self._must_look and not self._is_stale and track is not None and (sample := track.newest()) is not None:
            over += self._told(((watch, measure(sample)) for watch, measure in self._on_metrics), now)
        self._must_look = False
        return over

    def _look_away(self, now: float) -> list[Over]:
        if self.away_since is None:
            self.away_since = now
            self._must_look = True
            self._lose_sight()
        if self._must_look and self.was_here:
            for watch in self._on_connection:
                watch.look(self.known.id, 1.0, self.away_since)
        self._must_look = False
        return []

    def _lose_sight(self) -> None:
        self._is_stale = True
        for watch, _ in self._on_metrics:
            watch.look(self.known.id, None, 0.0)

    def _told(self, values: Iterable[tuple[Watch, float | None]], now: float) -> list[Over]:
        return [
            (watch, self.known.id, value)
            for watch, value in values
            if watch.look(self.known.id, value, now) and value is not None
        ]
