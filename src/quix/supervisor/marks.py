"""The supplementary group by which a run's processes are told from all others (`quix.supervisor.tree`)."""

from __future__ import annotations

from typing import Final

from quix.supervisor import proc

RANGE: Final = range(1879048192, 2147352576)
"""2^28 numbers that systemd's allocation leaves to nobody ("Users, Groups, UIDs and GIDs on systemd systems")."""


def mark(run_id: str) -> int:
    """Return the group of a run: as good as its own, since ids are random, and opening no file to anybody."""
    return RANGE[int(run_id, 16) % len(RANGE)]


def are_available() -> bool:
    """Return whether these groups exist here; a container may have a part of the numbers only (user_namespaces(7))."""
    for line in proc.read("/proc/self/gid_map").splitlines():
        first, _, count = map(int, line.split())
        if first <= RANGE[0] and RANGE[-1] < first + count:
            return True
    return False
