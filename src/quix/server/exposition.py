"""The fleet as Prometheus reads it: numbers of each backend, in the text format (version 0.0.4).

All lines of a metric stand together (https://prometheus.io/docs/instrumenting/exposition_formats/), so a fleet is
written metric by metric, and in slices, between which the server does other things. prometheus-client would hold a
metric's lines as objects first, and build them all in one go: a second, for 10,000 backends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, Self

from msgspec import Struct

from quix.store.backends import Backend
from quix.wire.samples import Sample

_SLICE: Final = 500
"""Lines that are made in one go: less than a millisecond."""


class Exposed(Struct, frozen=True):
    """A backend and how it is: `named` are the labels that name it on every line; `seen_at` is now while it is
    connected; `sample` is its newest where it is connected and told one, else None."""

    backend: Backend
    named: str
    is_connected: bool
    seen_at: float
    sample: Sample | None

    @classmethod
    def here(cls, backend: Backend, now: float, sample: Sample | None) -> Self:
        return cls(backend, _named(backend), is_connected=True, seen_at=now, sample=sample)

    @classmethod
    def away(cls, backend: Backend) -> Self:
        return cls(backend, _named(backend), is_connected=False, seen_at=backend.last_seen, sample=None)


class _Gauge(Struct, frozen=True):
    name: str
    help: str
    value: Callable[[Exposed], float | None]


def _of_sample(field: str) -> Callable[[Exposed], float | None]:
    def value(exposed: Exposed) -> float | None:
        found: float | None = getattr(exposed.sample, field, None)
        return found

    return value


_GAUGES: Final = (
    _Gauge("up", "Whether the backend is connected.", lambda exposed: exposed.is_connected),
    _Gauge("seen_timestamp_seconds", "When the backend was last connected.", lambda exposed: exposed.seen_at),
    _Gauge(
        "sample_timestamp_seconds",
        "When the newest sample was taken, by the backend's clock; all below are of that sample.",
        _of_sample("at"),
    ),
    _Gauge("cpu_busy_ratio", "Share of time that all cores together were busy.", _of_sample("cpu")),
    _Gauge("cpu_busiest_core_ratio", "Share of time that the busiest core was busy.", _of_sample("cpu_busiest")),
    _Gauge("memory_used_bytes", "Memory in use, without buffers and cache.", _of_sample("memory_used")),
    _Gauge("memory_size_bytes", "Memory in all.", _of_sample("memory_total")),
    _Gauge("disk_used_bytes", "Bytes in use on all mounted block devices.", _of_sample("disk_used")),
    _Gauge("disk_size_bytes", "Size of all mounted block devices.", _of_sample("disk_total")),
    _Gauge("disk_fullest_ratio", "Share of the fullest disk that is in use.", _of_sample("disk_fullest")),
    _Gauge(
        "network_receive_bytes_per_second", "Received since the sample before, a second.", _of_sample("net_received")
    ),
    _Gauge("network_transmit_bytes_per_second", "Sent since the sample before, a second.", _of_sample("net_sent")),
    _Gauge("load1", "Processes that run or wait to, on average over a minute.", _of_sample("load")),
    _Gauge("runs", "Programs that Quix started and that run.", _of_sample("runs")),
)


def exposition(fleet: Sequence[Exposed]) -> Iterator[bytes]:
    """Yield the numbers of these backends as text, a slice at a time.

    Every line names its backend by `backend` (its id) and `name`. What a backend does not tell has no line.
    """
    yield from _metric("info", "What the backend tells of itself; always 1.", map(_info, fleet))
    yield from _metric("labels", "Labels of the backend, as label_NAME; always 1.", map(_labels, fleet))
    for gauge in _GAUGES:
        lines = (f"{{{each.named}}} {float(value):.17g}" for each in fleet if (value := gauge.value(each)) is not None)
        yield from _metric(gauge.name, gauge.help, lines)


def _metric(name: str, text: str, lines: Iterable[str]) -> Iterator[bytes]:
    name = f"quix_backend_{name}"
    yield f"# HELP {name} {text}\n# TYPE {name} gauge\n".encode()
    iterator = iter(lines)
    while some := [*islice(iterator, _SLICE)]:
        yield "".join(f"{name}{line}\n" for line in some).encode()


def _info(exposed: Exposed) -> str:
    facts = exposed.backend.facts
    if facts is None:
        return f"{{{exposed.named}}} 1"
    told = {"os": facts.os, "kernel": facts.kernel, "arch": facts.arch, "agent_version": facts.agent_version}
    return f"{{{exposed.named},{_pairs(told)}}} 1"


def _labels(exposed: Exposed) -> str:
    given: dict[str, str] = {}
    for name, value in sorted(exposed.backend.labels.items()):
        # Of two names that come out the same, as `a-b` and `a.b`, the first stays: a name may be there once.
        given.setdefault(f"label_{re.sub('[^a-zA-Z0-9_]', '_', name)}", value)
    return f"{{{exposed.named},{_pairs(given)}}} 1" if given else f"{{{exposed.named}}} 1"


def _named(backend: Backend) -> str:
    return _pairs({"backend": backend.id, "name": backend.name})


_ESCAPED: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def _pairs(pairs: dict[str, str]) -> str:
    return ",".join(f'{name}="{value.translate(_ESCAPED)}"' for name, value in pairs.items())
