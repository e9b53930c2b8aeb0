"""What all connections of one side share in a process."""

from __future__ import annotations

from collections import defaultdict
from typing import Generic, TypeVar

from msgspec import Struct, field

from quix.link.clock import Clock
from quix.link.router import Router
from quix.wire.peer import Limits

C = TypeVar("C")


class Side(Struct, Generic[C]):
    """`outcomes` counts this side's own requests, by name and outcome ("answered", or the reason)."""

    router: Router[C]
    clock: Clock
    limits: Limits = Limits()
    outcomes: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
