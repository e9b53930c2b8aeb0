"""`python -m bench.alerts [BACKENDS] [RULES]`: what a look at the fleet costs, and how long it holds others up."""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

from quix.server.alerting.engine import Alerting
from quix.server.app import settle_memory
from quix.server.collector import Collector
from quix.server.events import Hub
from quix.server.fleet import Fleet
from quix.server.metrics import Metrics
from quix.server.session import Session
from quix.server.settings import ServerSettings
from quix.store import Store
from quix.store.actions import Action
from quix.store.alert_rules import Rule, Watched
from quix.store.audit import Entry
from quix.store.backends import Backend
from quix.store.ids import new_id
from quix.wire.samples import Sample

METRICS = [metric for metric in Watched if metric is not Watched.CONNECTION]


class Here:
    """As much of a session as says that a backend is connected."""

    def __init__(self, backend_id: str) -> None:
        self.backend_id = backend_id


class Lag:
    """The longest time that nothing else had its turn."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._task = asyncio.create_task(self._tick())

    async def _tick(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0)
            self.longest = max(self.longest, time.perf_counter() - began)

    def stop(self) -> float:
        self._task.cancel()
        return self.longest


async def timed(what: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do some work, and say what of a processor it took."""
    began = time.process_time()
    await work()
    cpu = time.process_time() - began
    print(f"{what:<46} {cpu * 1000:8.1f} ms of a processor", flush=True)


def rules(count: int) -> list[Rule]:
    return [
        Rule(
            id=new_id(time.time()), name=f"r{number}", metric=Watched.CONNECTION if number == 0 else
            METRICS[number % len(METRICS)], op="above", threshold=None if number == 0 else 99.0, clear=None, hold=0.0,
            labels={}, channels=[], severity="warning", enabled=True, created_by="bench", created_at=0.0,
        )
        for number in range(count)
    ]  # fmt: skip


def push(collector: Collector, fleet: list[Backend], cpu: float = 0.0) -> None:
    now = time.time()
    for backend in fleet:
        collector.add(
            backend.id,
            Sample(
                at=now, cpu=cpu or random.random() * 0.5, cpu_busiest=0.5, memory_used=4e9, memory_total=16e9,
                disk_used=1e11, disk_total=1e12, disk_fullest=0.4, net_received=12.0, net_sent=13.0, load=0.5, runs=2.0,
            ),
        )  # fmt: skip


async def measure(folder: Path, backends: int, count: int) -> None:
    settings = ServerSettings(data_dir=folder)
    store = await Store.open(settings.database_url)
    metrics = Metrics()
    fleet, collector, hub = Fleet(metrics, 30.0), Collector(store, settings.telemetry), Hub()
    known = [await store.backends.create("bench", "192.0.2.1") for _ in range(backends)]
    for rule in rules(count):
        await store.alert_rules.add(rule, Entry(action=Action.ALERT_RULE_ADDED))
    for backend in known:
        fleet.admit(cast("Session", Here(backend.id)))
    alerting = Alerting(store, fleet, collector, hub, metrics, settings)
    settle_memory()
    print(f"{backends} backends, {count} rules")
    await timed("start", alerting.begin)
    push(collector, known)
    await timed("first look", alerting.look)
    for _ in range(2):
        push(collector, known)
        await timed("every backend has a new sample", alerting.look)
    await timed("nothing is new", alerting.look)
    push(collector, known)
    lag = Lag()
    await alerting.look()
    print(f"{'longest time that it holds others up':<46} {lag.stop() * 1000:8.1f} ms")
    push(collector, known, cpu=1.0)
    began = time.perf_counter()
    lag = Lag()
    await alerting.look()
    seconds, held = time.perf_counter() - began, lag.stop()
    firing = len(await store.alerts.firing())
    print(f"{f'{firing} alerts at once':<46} {seconds * 1000:8.1f} ms, holding others up {held * 1000:.1f} ms")
    await store.close()


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), *(numbers or [10_000, 20])))
