"""What setrlimit(2) holds of a run's limits.

- `open_files` and `file_size`, which are of each process anyway. A write past `file_size` brings SIGXFSZ.
- `cpu`, rounded up to whole seconds: SIGXCPU comes first, SIGKILL a second later. It counts each process for itself, so
  the control group (`quix.supervisor.cgroup`) counts the tree beside it; this one also holds where nobody looks.
- `memory`, only where no control group holds it: address space then, of each process.

`processes` is not among them: RLIMIT_NPROC counts all processes of a user, whichever run they belong to. `output` and
`time` are for whoever reads the output and has a clock.
"""

from __future__ import annotations

import math
import resource
from collections.abc import Iterable
from typing import Final

from msgspec import UNSET

from quix.wire.runs import RunLimits

_FILES: Final = 4096
"""What a supervisor, and an agent that keeps the descriptors of programs, may have open: a run has up to nine."""

_CPU_GRACE: Final = 1
"""Seconds between SIGXCPU and SIGKILL."""


def allow_files() -> None:
    """Let this process open as many files as it may need, where the hard limit lets it. Programs inherit that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < _FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES if hard < 0 else min(_FILES, hard), hard))


def rlimits(limits: RunLimits, *, in_cgroup: bool) -> list[tuple[int, int]]:
    """Return what `apply` is to set, as pairs of a resource and its soft limit.

    Args:
        limits: of the run.
        in_cgroup: whether a control group holds its memory.
    """
    found: list[tuple[int, int]] = []
    if limits.open_files is not UNSET:
        found.append((resource.RLIMIT_NOFILE, limits.open_files))
    if limits.file_size is not UNSET:
        found.append((resource.RLIMIT_FSIZE, limits.file_size))
    if limits.cpu is not UNSET:
        found.append((resource.RLIMIT_CPU, math.ceil(limits.cpu)))
    if limits.memory is not UNSET and not in_cgroup:
        found.append((resource.RLIMIT_AS, limits.memory))
    return found


def apply(pairs: Iterable[tuple[int, int]]) -> None:
    """Set the limits of this process and of all that comes of it, soft and hard, so that it cannot raise them itself.

    To be called last before the exec: with few descriptors or little address space, Python cannot do much any more.
    No hard limit is raised: a limit of a run is no leave to pass one that the machine's owner has set.

    Raises:
        OSError: the kernel refused.
    """
    for number, value in pairs:
        _, highest = resource.getrlimit(number)
        hard = value + _CPU_GRACE if number == resource.RLIMIT_CPU else value
        resource.setrlimit(number, (_lower(value, highest), _lower(hard, highest)))


def _lower(value: int, highest: int) -> int:
    return value if highest == resource.RLIM_INFINITY else min(value, highest)
