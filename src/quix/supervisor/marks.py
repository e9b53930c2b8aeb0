"""The supplementary groups by which runs are told apart (`quix.supervisor.tree`)."""

from __future__ import annotations

from typing import Final

from quix.supervisor import proc

RANGE: Final = range(60707, 61184)
"""The rest of the numbers of which `account.DEFAULT_ID` is the first; a group of them opens no file to anybody."""


class Marks:
    """Hands out groups that no living process is in, the least recently looked at first.

    A run's group is not free at once when the run ends, since a process it left behind may live on. So the free ones
    are found by looking at all processes, and only once in as many runs as there were free ones.
    """

    def __init__(self) -> None:
        self._free: list[int] = []

    def take(self) -> int | None:
        """Return a group that no process is in, or None where all are in use."""
        if not self._free:
            used = {group for pid in proc.table() for group in proc.groups(pid)}
            self._free = [group for group in RANGE if group not in used]
        return self._free.pop(0) if self._free else None
