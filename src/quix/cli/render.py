"""From data to text, as pure functions: no terminal, no clock and no server are needed to test them.

Whatever a backend said is made printable first: a name or a title must not be able to move the cursor.
"""

from __future__ import annotations

import shlex
import time
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from msgspec import UNSET, Struct

from quix.exits import printable

if TYPE_CHECKING:
    from quix.client import AuditRow, Backend, Enrolment, Event, Lease, Run, Session, Token
    from quix.wire.messages import Process, TeleData, VpnStatus

_NOBODY: Final = (
    "No backend has enrolled yet. On the machine: quix agent --server URL --username NAME --password-file FILE"
)

_FOLDED: Final = 24
"""Columns of a terminal that the last column of a table needs at least."""

_UNITS: Final = ("B", "KB", "MB", "GB", "TB", "PB")


class Table(Struct, frozen=True):
    """Rows of printable text. The columns in `right` are numbers, and the one that is `state` tells good from bad;
    `empty` is the sentence for no rows."""

    head: tuple[str, ...]
    rows: list[tuple[str, ...]]
    right: frozenset[int] = frozenset()
    state: int | None = None
    empty: str = ""


def size(count: float) -> str:
    """Return a number of bytes in the unit that fits: 1500 is `1.5 KB`."""
    unit = 0
    # Not 1000: what would be rounded to 1000 is 1 of the next unit.
    while round(count) >= 1000 and unit < len(_UNITS) - 1:
        count /= 1000
        unit += 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 or round(count, 1) >= 100 else f"{count:.1f} {_UNITS[unit]}"


def age(seconds: float) -> str:
    """Return a duration in its largest unit: `just now`, `50 s`, `5 min`, `3 h`, `12 d`; what is over counts."""
    if seconds < 10:
        return "just now"
    for limit, unit, length in ((60, "s", 1), (3600, "min", 60), (48 * 3600, "h", 3600)):
        if seconds < limit:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds // 86400)} d"


def duration(seconds: float) -> str:
    """Return how long something took: `0.3 s`, `45 s`, `12 min`, `3 h`."""
    return f"{max(seconds, 0):.1f} s" if seconds < 10 else age(seconds)


def plain(table: Table) -> str:
    """Return a table as aligned text. The last column is not padded, so that it may be long."""
    if not table.rows:
        return table.empty
    lines = [table.head, *table.rows]
    last = len(table.head) - 1
    widths = _widths(table)

    def cell(column: int, text: str) -> str:
        padding = " " * (widths[column] - width(text))
        if column in table.right:
            return padding + text
        return text if column == last else text + padding

    return "\n".join("  ".join(cell(*each) for each in enumerate(line)).rstrip() for line in lines)


def records(table: Table) -> str:
    """Return a table as one block of lines for each row, for where its columns do not fit beside each other."""
    title = max(map(len, table.head)) + 2
    blocks = [
        "\n".join(f"{name:{title}}{cell}".rstrip() for name, cell in zip(table.head, row, strict=True))
        for row in table.rows
    ]
    return "\n\n".join(blocks)


def fits(table: Table, columns: int) -> bool:
    """Return whether a table fits a terminal of so many columns, its last column folded where it is long."""
    widths = _widths(table)
    return sum(widths[:-1]) + 2 * len(widths[:-1]) + min(widths[-1], _FOLDED) <= columns


def _widths(table: Table) -> list[int]:
    return [max(map(width, cells)) for cells in zip(table.head, *table.rows, strict=True)]


def width(text: str) -> int:
    """Return how many columns of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def rows_of(rows: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    return [tuple(printable(cell) for cell in row) for row in rows]


def backends(found: Sequence[Backend], now: float, *, is_everything: bool = True) -> Table:
    rows = [
        (
            backend.name,
            _state(backend),
            age(now - (backend.connected_since or backend.revoked_at or backend.last_seen)),
            backend.address,
            backend.facts.os if backend.facts else "",
            backend.id,
        )
        for backend in found
    ]
    empty = _NOBODY if is_everything else "There is no such backend."
    return Table(("NAME", "STATE", "SINCE", "ADDRESS", "OS", "ID"), rows_of(rows), state=1, empty=empty)


def _state(backend: Backend) -> str:
    if backend.revoked_at is not None:
        return "revoked"
    return "online" if backend.connected else "offline"


def labels(backend: Backend) -> Table:
    rows = [
        (name, value, "given" if name in backend.given_labels else "agent") for name, value in backend.labels.items()
    ]
    return Table(("LABEL", "VALUE", "FROM"), rows_of(sorted(rows)), empty=f"{printable(backend.name)} has no label.")


def processes(found: Sequence[Process]) -> Table:
    rows = [
        (
            str(process.pid),
            f"{process.cpu_util:.1f}",
            size(process.mem_util * 1e6),
            ",".join(map(str, process.port_util)),
            process.title,
            process.reqc,
        )
        for process in found
    ]
    head = ("PID", "CPU%", "MEMORY", "PORTS", "TITLE", "COMMAND")
    return Table(head, rows_of(rows), frozenset({0, 1, 2}), empty="Nothing runs.")


def runs(found: Sequence[Run], now: float) -> Table:
    rows = [
        (
            run.id,
            str(run.proc_id or ""),
            age(now - run.started_at),
            "" if run.ended_at is None else duration(run.ended_at - run.started_at),
            _ended(run),
            run.started_by,
            shlex.join(run.cmd),
        )
        for run in found
    ]
    head = ("RUN", "PID", "STARTED", "TOOK", "STATE", "BY", "COMMAND")
    return Table(head, rows_of(rows), frozenset({1, 3}), state=4, empty="Nothing has been started there yet.")


def _ended(run: Run) -> str:
    """Return how a run is in a word or two: `running`, `exit 1`, `SIGKILL`, `timeout`."""
    if run.state != "ended":
        return run.outcome or run.state
    if run.outcome == "exited":
        return f"exit {run.exit_code}"
    return (run.exit_signal if run.outcome == "signalled" else run.outcome) or run.state


def leases(found: Sequence[Lease], names: Mapping[str, str], now: float) -> Table:
    """`names`: of the backends, by id."""
    rows = [
        (
            names.get(lease.backend_id, lease.backend_id),
            lease.conf_type,
            lease.address4,
            lease.address6,
            "in force" if lease.revoked_at is None else "revoked",
            *_traffic(lease, now),
            lease.public_key or "",
        )
        for lease in found
    ]
    head = ("BACKEND", "TYPE", "IPV4", "IPV6", "STATE", "HANDSHAKE", "RECEIVED", "SENT", "PUBLIC KEY")
    return Table(head, rows_of(rows), frozenset({6, 7}), state=4, empty="No backend has a VPN lease.")


def _traffic(lease: Lease, now: float) -> tuple[str, str, str]:
    """Return when a peer was last heard of, and how much came from it and went to it."""
    if lease.traffic is None:
        return "", "", ""
    last = lease.traffic.last_handshake
    return "never" if last is None else age(now - last), size(lease.traffic.received), size(lease.traffic.sent)


def users(found: Sequence[tuple[str, str, float, Mapping[str, str]]], now: float) -> Table:
    """`found`: name, role, when the user was added, and the labels that limit what is seen."""
    rows = [(name, role, age(now - added), _pairs(labels)) for name, role, added, labels in found]
    return Table(
        ("NAME", "ROLE", "AGE", "SEES"), rows_of(rows), empty="There is no user yet: quix user add NAME --role admin"
    )


def tokens(found: Sequence[Token], now: float) -> Table:
    rows = [
        (
            token.id,
            token.user,
            token.name,
            token.role,
            age(now - token.created_at),
            _left(token.expires_at - now),
            _used(token.used_at, now),
            _pairs(token.labels) if token.backends is None else " ".join([_pairs(token.labels), *token.backends]),
        )
        for token in found
    ]
    head = ("ID", "USER", "NAME", "ROLE", "AGE", "ENDS IN", "USED", "SEES")
    return Table(head, rows_of(rows), empty="There is no personal token: quix token add NAME")


def enrolments(found: Sequence[Enrolment], now: float) -> Table:
    rows = [
        (
            key.id,
            key.name,
            key.created_by,
            age(now - key.created_at),
            _left(key.expires_at - now),
            f"{key.used} of {key.uses}",
            _pairs(key.labels) if key.labels else "",
        )
        for key in found
    ]
    head = ("ID", "NAME", "BY", "AGE", "ENDS IN", "USED", "GIVES")
    return Table(head, rows_of(rows), empty="There is no enrolment key: quix enroll-command")


def sessions(found: Sequence[Session], now: float) -> Table:
    rows = [
        (
            session.id,
            session.user,
            session.address,
            age(now - session.created_at),
            _left(session.expires_at - now),
            "now" if session.is_this else _used(session.used_at, now),
            session.user_agent,
        )
        for session in found
    ]
    return Table(("ID", "USER", "FROM", "AGE", "ENDS IN", "USED", "WITH"), rows_of(rows), empty="Nobody is logged in.")


def _pairs(labels: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(labels.items())) or "all"


def _left(seconds: float) -> str:
    return age(max(seconds, 10))


def _used(at: float | None, now: float) -> str:
    return "never" if at is None else age(now - at)


def audit(found: Sequence[AuditRow]) -> Table:
    """`found`: the newest first; shown is the newest last, as in a log."""
    rows = [
        (
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.at)),
            row.user,
            row.address,
            row.action,
            row.backend_id,
            row.target,
            row.outcome,
            " ".join(f"{name}={value}" for name, value in row.detail.items()),
        )
        for row in reversed(found)
    ]
    head = ("AT", "USER", "FROM", "ACTION", "BACKEND", "TARGET", "OUTCOME", "DETAIL")
    return Table(head, rows_of(rows), state=6, empty="There is nothing of that kind in the audit.")


def event(happened: Event) -> str:
    """Return an event as a line: when, what, about which backend, and what more is known."""
    at = time.strftime("%H:%M:%S", time.localtime(happened.at))
    facts = (f"{name}={value}" for name, value in happened.data.items() if value is not None)
    return printable("  ".join(part for part in (at, happened.kind, happened.backend_id, " ".join(facts)) if part))


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
    return "\n".join(lines) or "The backend knows none of what was asked for."


def _disk(numbers: Sequence[int]) -> str:
    used, free = (*numbers, 0, 0)[:2]
    share = 100 * used / (used + free) if used + free else 0
    return f"{share:.0f}% of {size(used + free)} used, {size(free)} free"


def _tunnel(status: VpnStatus | None) -> str:
    if status is None:
        return "no tunnel"
    addresses = " ".join(address for address in (status.conn_ip4, status.conn_ip6) if address)
    return printable(f"{status.ifname} ({status.conn_type}) {addresses} to {status.conn_host or 'an unknown endpoint'}")
