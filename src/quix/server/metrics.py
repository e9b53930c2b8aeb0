"""What the server counts, for Prometheus (GET /metrics on the operators' port)."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, PlatformCollector, ProcessCollector


class Metrics:
    """One registry a server, so that several can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.connected = Gauge("quix_backends_connected", "Backends connected now.", registry=self.registry)
        self.sockets = Gauge(
            "quix_sockets_open", "Agents' sockets open now, authenticated or not.", registry=self.registry
        )
        self._authentications = Counter(
            "quix_authentications", "Attempts to authenticate, by outcome.", ["outcome"], registry=self.registry
        )
        self._closes = Counter("quix_closes", "Connections ended, by close code.", ["code"], registry=self.registry)
        self._asked = Counter(
            "quix_requests", "Requests to backends, by request and outcome.", ["req", "outcome"],
            registry=self.registry,
        )  # fmt: skip
        self._children: dict[tuple[str, str], Counter] = {}

    def asked(self, req: str, outcome: str) -> None:
        """Count one request to a backend. On the hot path, so the labelled child is looked up once."""
        child = self._children.get((req, outcome))
        if child is None:
            child = self._children[req, outcome] = self._asked.labels(req, outcome)
        child.inc()

    def authenticated(self, outcome: str) -> None:
        """Count one attempt; `outcome` is enrolled, resumed or the reason of a refusal."""
        self._authentications.labels(outcome).inc()

    def closed(self, code: int) -> None:
        # Peers choose codes freely; those that Quix knows keep a name of their own, the rest share one.
        self._closes.labels(str(code) if 1000 <= code <= 1015 or 4001 <= code <= 4003 else "other").inc()
