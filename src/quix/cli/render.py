"""From data to text, as pure functions: no terminal, no clock and no server are needed to test them.

Whatever a backend said is made printable first: a name or a title must not be able to move the cursor.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec import UNSET

from quix.wire.messages import Process, TeleData, VpnStatus

if TYPE_CHECKING:
    from quix.client import Backend, Lease, Run

_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")


def printable(text: str) -> str:
    """Return `text` with everything that a terminal might obey replaced."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def size(count: float) -> str:
    """Return a number of bytes in the unit that fits: 1500 is `1.5 KB`."""
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count /= 1000
        unit += 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 or count >= 100 else f"{count:.1f} {_UNITS[unit]}"


def age(seconds: float) -> str:
    """Return a duration in its largest unit: `just now`, `5 min`, `3 h`, `12 d`."""
    for limit, unit, length in ((60, "s", 1), (3600, "min", 60), (48 * 3600, "h", 3600)):
        if seconds < limit:
            return "just now" if seconds < 10 else f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: frozenset[int] = frozenset()) -> str:
    """Return aligned columns; those in `right` are numbers. The last column is not padded, so that it may be long."""
    lines = [list(head), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]

    def cell(column: int, text: str) -> str:
        if column in right:
            return text.rjust(widths[column])
        return text if column == len(head) - 1 else text.ljust(widths[column])

    return "\n".join("  ".join(cell(*each) for each in enumerate(line)).rstrip() for line in lines)


def backends(found: Sequence[Backend], now: float) -> str:
    if not found:
        return (
            "No backend has enrolled yet. On the machine: quix agent --server URL --username NAME --password-file FILE"
        )
    rows = [
        (
            backend.name,
            "online" if backend.connected else "offline",
            age(now - (backend.connected_since or backend.last_seen)),
            backend.address,
            backend.facts.os if backend.facts else "",
            backend.id,
        )
        for backend in found
    ]
    return table(("NAME", "STATE", "SINCE", "ADDRESS", "OS", "ID"), rows)


def processes(found: Sequence[Process]) -> str:
    rows = [
        (
            str(process.pid),
            f"{process.cpu_util:.1f}",
            f"{process.mem_util:.0f}",
            ",".join(map(str, process.port_util)),
            process.title,
            process.reqc,
        )
        for process in found
    ]
    return table(("PID", "CPU%", "MB", "PORTS", "TITLE", "COMMAND"), rows, frozenset({0, 1, 2}))


def runs(found: Sequence[Run], now: float) -> str:
    rows = [(run.id, str(run.proc_id), age(now - run.started_at), run.started_by, shlex.join(run.cmd)) for run in found]
    return table(("RUN", "PID", "STARTED", "BY", "COMMAND"), rows, frozenset({1}))


def leases(found: Sequence[Lease], now: float) -> str:
    rows = [
        (
            lease.backend_id,
            lease.conf_type,
            lease.address4,
            lease.address6,
            "revoked" if lease.revoked_at is not None else "in force",
            age(now - lease.issued_at),
            lease.public_key or "",
        )
        for lease in found
    ]
    return table(("BACKEND", "TYPE", "IPV4", "IPV6", "STATE", "AGE", "PUBLIC KEY"), rows)


def users(found: Sequence[tuple[str, str, float]], now: float) -> str:
    """`found`: name, role, and when the user was added."""
    return table(("NAME", "ROLE", "AGE"), [(name, role, age(now - added)) for name, role, added in found])


def telemetry(data: TeleData) -> str:
    """Return what was measured, a line or a few for each kind; a kind that is unset is left out."""
    lines: list[str] = []
    if data.ttl_cpu_usage is not UNSET:
        lines.append("cpu     " + "  ".join(f"{100 * core:.0f}%" for core in data.ttl_cpu_usage))
    if data.ttl_mem_usage is not UNSET:
        names = ("used", "buffers and cache", "free")
        pairs = zip(names, data.ttl_mem_usage, strict=False)
        lines.append("memory  " + ", ".join(f"{name} {size(megabytes * 1e6)}" for name, megabytes in pairs))
    if data.disk_util is not UNSET:
        lines += [
            f"disk    {printable(device)}: {_disk(numbers)}" for device, numbers in sorted(data.disk_util.items())
        ]
    if data.vpn_status is not UNSET:
        lines.append(f"vpn     {_tunnel(data.vpn_status)}")
    return "\n".join(lines)


def _disk(numbers: Sequence[int]) -> str:
    used, free = (*numbers, 0, 0)[:2]
    share = 100 * used / (used + free) if used + free else 0
    return f"{share:.0f}% of {size(used + free)} used"


def _tunnel(status: VpnStatus | None) -> str:
    if status is None:
        return "no tunnel"
    addresses = " ".join(address for address in (status.conn_ip4, status.conn_ip6) if address)
    return printable(f"{status.ifname} ({status.conn_type}) {addresses} to {status.conn_host or 'an unknown endpoint'}")
