"""Samples: how a machine was at one moment (extension `telemetry`).

The shapes that server and agent share; the request that carries them is in `quix.wire.messages`.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

LARGEST_PUSH: Final = 500
"""Samples of one message, at most."""

Seq = Annotated[int, Meta(ge=0, le=2**53)]
"""Numbers the samples of a series, from 1 on; 0 stands for none."""

Series = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,32}(?!\n)$")]
"""Names a numbering: an agent that begins at 1 again takes another one."""

Share = Annotated[float, Meta(ge=0, le=1)]
Amount = Annotated[float, Meta(ge=0, le=2**63)]


class Sample(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One look at a machine; what it does not tell is None.

    Attributes:
        seq: its number; each sample of a series has a higher one than those before.
        at: when, in seconds since the epoch by the backend's clock, in whole milliseconds.
        cpu, cpu_busiest: share of time, 0 to 1, that all cores together and the busiest of them were busy since the
            last sample.
        memory_used, memory_total: bytes; buffers and cache are not used.
        disk_used, disk_total: bytes, of all mounted block devices together.
        disk_fullest: share, 0 to 1, of the fullest of them that is used.
        net_received, net_sent: bytes a second since the last sample, of all interfaces to the outside.
        load: processes that run or wait to, on average over a minute (proc_loadavg(5)).
        runs: programs that Quix started and that run.
    """

    seq: Seq = 0
    at: Annotated[float, Meta(ge=0, le=2**40)]
    cpu: Share | None = None
    cpu_busiest: Share | None = None
    memory_used: Amount | None = None
    memory_total: Amount | None = None
    disk_used: Amount | None = None
    disk_total: Amount | None = None
    disk_fullest: Share | None = None
    net_received: Amount | None = None
    net_sent: Amount | None = None
    load: Amount | None = None
    runs: Amount | None = None


METRICS: Final[tuple[str, ...]] = Sample.__struct_fields__[2:]
"""What a sample measures, in the order in which it is kept."""
