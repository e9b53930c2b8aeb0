"""Rules: what of a backend is watched, from where on it is an alert, and where that is told."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, Literal, Self

import msgspec
from msgspec import Struct, field
from sqlalchemy import delete, exists, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quix.store.audit import Entry, append
from quix.store.database import Database
from quix.store.errors import AlreadyExistsError
from quix.store.tables import alert_rules

Severity = Literal["warning", "critical"]
Op = Literal["above", "below"]

_POINTS: Final = 5.0
_PART: Final = 0.1
"""Where nobody says when an alert is over: this many per cent points, or this part of the threshold, away from it."""


class Watched(StrEnum):
    """What a rule can watch; `unit` says in what its numbers are. docs/alerts.md lists them, and a test compares."""

    unit: str
    sentence: str

    def __new__(cls, code: str, unit: str, sentence: str) -> Self:
        member = str.__new__(cls, code)
        member._value_ = code
        member.unit = unit
        member.sentence = sentence
        return member

    CONNECTION = "connection", "", "The backend is not connected; the rule has no threshold."
    CPU = "cpu", "%", "Time that all cores together were busy."
    CPU_BUSIEST = "cpu_busiest", "%", "Time that the busiest core was busy."
    MEMORY = "memory", "%", "Memory in use, without buffers and cache."
    DISK = "disk", "%", "Space in use, of all mounted block devices together."
    DISK_FULLEST = "disk_fullest", "%", "Space in use on the fullest of them."
    NET_RECEIVED = "net_received", "B/s", "Received, of all interfaces to the outside."
    NET_SENT = "net_sent", "B/s", "Sent, of all interfaces to the outside."
    LOAD = "load", "", "Processes that run or wait to, on average over a minute."
    RUNS = "runs", "", "Programs that Quix started and that run."


class Rule(Struct, frozen=True, kw_only=True):
    """What is watched of the backends that have all of the `labels`.

    Attributes:
        metric: what is watched; cpu, memory and disk in per cent.
        op: whether it is an alert above the threshold or below it.
        threshold: from where on it is an alert, in the unit of the metric; null for `connection`.
        clear: where an alert is over again; null: 5 per cent points, or a tenth of the threshold, away from it.
        hold: `for`: seconds that it has to be so before it is an alert.
        channels: ids of where it is told.
    """

    id: str
    name: str
    metric: Watched
    op: Op
    threshold: float | None
    clear: float | None
    hold: float = field(name="for")
    labels: dict[str, str]
    channels: list[str]
    severity: Severity
    enabled: bool
    created_by: str
    created_at: float

    @property
    def clears_at(self) -> float:
        """Where an alert is over, for a rule with a threshold."""
        assert self.threshold is not None
        if self.clear is not None:
            return self.clear
        if self.metric.unit != "%":
            gap = abs(self.threshold) * _PART
        else:
            # Near an end of the scale half way to it, or the alert would never be over.
            gap = min(_POINTS, (self.threshold if self.op == "above" else 100 - self.threshold) / 2)
        return self.threshold - gap if self.op == "above" else self.threshold + gap


_texts = msgspec.json.Decoder(list[str]).decode
_pairs = msgspec.json.Decoder(dict[str, str]).decode
_encode = msgspec.json.Encoder().encode


class AlertRules:
    """The rules of the store, by id."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def all(self) -> list[Rule]:
        """Return all rules, oldest first; they are few, since people write them."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(alert_rules).order_by(alert_rules.c.id))
            return [_rule(row) for row in rows.mappings()]

    async def find(self, text: str) -> Rule | None:
        """Return the rule of an id or a name."""
        columns = alert_rules.c
        async with self._database.read() as connection:
            rows = await connection.execute(select(alert_rules).where(or_(columns.id == text, columns.name == text)))
            found = [_rule(row) for row in rows.mappings()]
        return next((rule for rule in found if rule.id == text), found[0] if found else None)

    async def add(self, rule: Rule, entry: Entry) -> None:
        """Add a rule. Raises AlreadyExistsError: there is one of that name."""
        async with self._database.write() as connection:
            await _must_be_free(connection, rule)
            await connection.execute(insert(alert_rules).values(_row(rule)))
            await append(connection, self._clock(), entry)

    async def put(self, rule: Rule, entry: Entry) -> bool:
        """Keep a rule as it is now; return whether there is one still. Raises as `add`."""
        async with self._database.write() as connection:
            await _must_be_free(connection, rule)
            done = await connection.execute(update(alert_rules).where(alert_rules.c.id == rule.id).values(_row(rule)))
            if done.rowcount:
                await append(connection, self._clock(), entry)
        return done.rowcount > 0

    async def remove(self, rule_id: str, entry: Entry) -> bool:
        """Remove a rule; return whether there was one."""
        async with self._database.write() as connection:
            done = await connection.execute(delete(alert_rules).where(alert_rules.c.id == rule_id))
            if done.rowcount:
                await append(connection, self._clock(), entry)
        return done.rowcount > 0


async def _must_be_free(connection: AsyncConnection, rule: Rule) -> None:
    namesake = select(exists().where(alert_rules.c.name == rule.name, alert_rules.c.id != rule.id))
    if await connection.scalar(namesake):
        raise AlreadyExistsError(f"a rule named {rule.name}")


def _row(rule: Rule) -> dict[str, Any]:
    row = msgspec.structs.asdict(rule)
    row["for"] = row.pop("hold")
    return {
        **row,
        "metric": rule.metric.value,
        "labels": _encode(rule.labels).decode(),
        "channels": _encode(rule.channels).decode(),
    }


def _rule(row: Any) -> Rule:
    values = dict(row)
    return Rule(
        hold=values.pop("for"),
        metric=Watched[values.pop("metric").upper()],
        labels=_pairs(values.pop("labels")),
        channels=_texts(values.pop("channels")),
        **values,
    )
