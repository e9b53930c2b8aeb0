"""The supplementary group by which a run's processes are told from all others (`quix.supervisor.tree`)."""

from __future__ import annotations

from typing import Final

from quix.supervisor import proc

RANGE: Final = range(1879048192, 2147352576)
"""2^28 numbers that systemd's allocation leaves to nobody ("Users, Groups, UIDs and GIDs on systemd systems")."""


def mark(number: int) -> int:
    """Return the group of that number, which opens no file to anybody; numbers near each other give different ones."""
    return RANGE[number % len(RANGE)]


def are_available() -> bool:
    """Return whether these groups exist here; a container may have a part of the numbers only (user_namespaces(7))."""
    for line in proc.read("/proc/self/gid_map").splitlines():
        first, _, count = map(int, line.split())
        if first <= RANGE[0] and RANGE[-1] < first + count:
            return True
    return False
