"""What the server counts, for Prometheus (GET /metrics on the operators' port)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Info, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from quix import __version__


class Metrics:
    """One registry a server, so that several can live in one process.

    Attributes:
        outcomes: requests to backends, by name and outcome; plain numbers, since they are counted on the hot path.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.connected = Gauge("quix_backends_connected", "Backends connected now.", registry=self.registry)
        self.sockets = Gauge(
            "quix_sockets_open", "Agents' sockets open now, authenticated or not.", registry=self.registry
        )
        self.samples_waiting = Gauge(
            "quix_samples_waiting", "Samples that are not in the store yet.", registry=self.registry
        )
        Info("quix_build", "The version of the server.", registry=self.registry).info({"version": __version__})
        self._authentications = Counter(
            "quix_authentications", "Attempts to authenticate, by outcome.", ["outcome"], registry=self.registry
        )
        self._closes = Counter("quix_closes", "Connections ended, by close code.", ["code"], registry=self.registry)
        self.alerts_firing = Gauge(
            "quix_alerts_firing", "Alerts that fire now, by severity.", ["severity"], registry=self.registry
        )
        self._deliveries = Counter(
            "quix_alert_deliveries",
            "Attempts to send a message about alerts, by kind of channel and outcome.",
            ["kind", "outcome"],
            registry=self.registry,
        )
        self.outcomes: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.registry.register(_Requests(self.outcomes))

    def authenticated(self, outcome: str) -> None:
        """Count one attempt; `outcome` is enrolled, resumed or the reason of a refusal."""
        self._authentications.labels(outcome).inc()

    def delivered(self, kind: str, outcome: str) -> None:
        """Count one attempt to send a message about alerts."""
        self._deliveries.labels(kind, outcome).inc()

    def closed(self, code: int) -> None:
        # Peers choose codes freely; those that Quix knows keep a name of their own, the rest share one.
        self._closes.labels(str(code) if 1000 <= code <= 1015 or 4001 <= code <= 4003 else "other").inc()


class _Requests(Collector):
    """Turns the plain numbers into a metric when somebody looks."""

    def __init__(self, outcomes: Mapping[tuple[str, str], int]) -> None:
        self._outcomes = outcomes

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(
            "quix_requests", "Requests to backends, by request and outcome.", labels=["req", "outcome"]
        )
        for labels, count in sorted(self._outcomes.items()):
            family.add_metric(labels, count)
        yield family
