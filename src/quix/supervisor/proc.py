"""What the kernel tells of processes in /proc (proc(5)), read with as few system calls as it takes.

Everything here is a look at something that moves: a process that ends while it is looked at is simply not there.
"""

from __future__ import annotations

import os
import time
from typing import Final

from msgspec import Struct

_STAT_BYTES: Final = 4096
_TICKS: Final = os.sysconf("SC_CLK_TCK")

GONE: Final = (FileNotFoundError, ProcessLookupError)
"""How a file of a process that has ended answers: ENOENT on opening, ESRCH on reading."""


class Stat(Struct, frozen=True):
    """A line of /proc/PID/stat; CPU times and `start` in clock ticks, `rss` in pages.

    `user_system` is what the process itself used, `waited` what the children used that it has waited for.
    """

    pid: int
    comm: str
    state: str
    ppid: int
    session: int
    user_system: int
    waited: int
    threads: int
    start: int
    rss: int

    @property
    def identity(self) -> tuple[int, int]:
        return self.pid, self.start

    @property
    def is_dead(self) -> bool:
        """Whether it only waits to be reaped. A process whose first thread alone has ended shows `Z` as well."""
        return self.state in "ZX" and self.threads <= 1


def parse_stat(line: bytes) -> Stat:
    """Parse /proc/PID/stat; the name may hold anything, blanks and brackets included."""
    head, _, tail = line.rpartition(b")")
    pid, _, comm = head.partition(b"(")
    fields = tail.split()
    return Stat(
        pid=int(pid),
        comm=comm.decode(errors="replace"),
        state=fields[0].decode(),
        ppid=int(fields[1]),
        session=int(fields[3]),
        user_system=int(fields[11]) + int(fields[12]),
        waited=int(fields[13]) + int(fields[14]),
        threads=int(fields[17]),
        start=int(fields[19]),
        rss=int(fields[21]),
    )


def read(path: str) -> bytes:
    """Return a whole file of /proc. Raises OSError as open(2) and read(2) do."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(descriptor, _STAT_BYTES)
        if len(data) < _STAT_BYTES:
            return data
        parts = [data]
        while more := os.read(descriptor, 2**20):
            parts.append(more)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def stat(pid: int) -> Stat | None:
    """Return what /proc says of `pid`, or None where there is no such process, or it is hidden (proc(5), hidepid)."""
    try:
        return parse_stat(read(f"/proc/{pid}/stat"))
    except (*GONE, PermissionError):
        return None


def table() -> dict[int, Stat]:
    """Return every process that can be seen, by pid."""
    stats = (stat(int(name)) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 - in bulk
    return {entry.pid: entry for entry in stats if entry is not None}


def children() -> list[int] | None:
    """Return the processes whose parent is this one, or None where the kernel does not list them (proc(5))."""
    try:
        return [int(pid) for pid in read("/proc/thread-self/children").split()]
    except FileNotFoundError:
        return None


def now() -> int:
    """Return the time since boot in clock ticks, on the clock of `Stat.start`."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * _TICKS)


def boot_id() -> str:
    """Return what is new at every boot (random(4)); start times of different boots say nothing to each other."""
    return read("/proc/sys/kernel/random/boot_id").decode().strip()


def groups(pid: int) -> frozenset[int]:
    """Return the supplementary groups of a process; none where it has ended, or is hidden."""
    try:
        status = read(f"/proc/{pid}/status")
    except (*GONE, PermissionError):
        return frozenset()
    _, _, rest = status.partition(b"\nGroups:")
    return frozenset(map(int, rest.partition(b"\n")[0].split()))


def environ(pid: int) -> list[bytes]:
    """Return the environment a process was started with; empty where it has ended or may not be read."""
    try:
        return read(f"/proc/{pid}/environ").split(b"\0")
    except (*GONE, PermissionError):
        return []
