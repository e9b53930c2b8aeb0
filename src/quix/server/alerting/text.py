"""What a message about alerts says: as JSON for a webhook, as text for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec
from msgspec import Struct, field

from quix.exits import printable
from quix.store.alert_rules import Rule, Watched
from quix.store.alerts import Alert, Untold

FIRST: Final = 20
"""Alerts that a message names; of all the others it says how many there are."""

_NAMED: Final = 3
"""Backends that the one line of a message names."""

_LONGEST_NAME: Final = 80

Type = Literal["alert.raised", "alert.resolved", "alert.test"]


class About(Struct):
    """The rule that a message is about."""

    id: str
    name: str
    metric: str
    unit: str
    op: str
    threshold: float | None
    hold: float = field(name="for")
    severity: str
    labels: dict[str, str]


class Data(Struct):
    """`count` alerts were raised, or are over; `alerts` are the first of them. A test is about no rule, and `by` says
    who asked for it."""

    count: int = 0
    rule: About | None = None
    alerts: list[Alert] = []
    by: str = ""


class Body(Struct):
    """The body of a webhook. `timestamp` is when it was composed (RFC 3339); `text` says it in a line to a person."""

    type: Type
    timestamp: str
    text: str
    data: Data


_encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Body).decode


def about(rule: Rule, kind: Type, untold: Untold, now: float) -> str:
    """Return the body of a message about what was raised, or is over, of a rule."""
    told = About(
        id=rule.id,
        name=rule.name,
        metric=rule.metric.value,
        unit=rule.metric.unit,
        op=rule.op,
        threshold=rule.threshold,
        hold=rule.hold,
        severity=rule.severity,
        labels=rule.labels,
    )
    return _finished(Body(kind, _time(now), "", Data(untold.count, told, untold.first)))


def test(by: str, now: float) -> str:
    """Return the body of a message that a user had sent to see whether it arrives."""
    return _finished(Body("alert.test", _time(now), "", Data(by=by)))


def _finished(body: Body) -> str:
    body.text = summary(body)
    return _encode(body).decode()


def summary(body: Body) -> str:
    """Return a message in a line."""
    data = body.data
    if data.rule is None:
        return f"test message, sent by {data.by}"
    what = "resolved" if body.type == "alert.resolved" else data.rule.severity
    names = ", ".join(_name(alert) for alert in data.alerts[:_NAMED])
    if data.count == 1:
        value = "" if body.type == "alert.resolved" else f" ({_value(data.rule, data.alerts[0].value)})"
        return f"{what}: {data.rule.name}: {names}{value}"
    more = f" and {data.count - _NAMED} more" if data.count > _NAMED else ""
    return f"{what}: {data.rule.name}: {data.count} backends: {names}{more}"


def lines(body: Body) -> Sequence[str]:
    """Return a message as lines of text."""
    data = body.data
    if data.rule is None:
        return (
            f"This is a test message of Quix, sent by {data.by}.",
            "Alerts that go by this channel will arrive here.",
        )
    is_over = body.type == "alert.resolved"
    told = [
        f"  {_name(alert)}  {'raised with ' if is_over else ''}{_value(data.rule, alert.value)}"
        f"  since {_time(alert.started_at)}{_end(alert)}  {alert.backend_id}"
        for alert in data.alerts
    ]
    more = data.count - len(data.alerts)
    return (
        summary(body),
        "",
        f"Rule:     {data.rule.name} ({condition(data.rule)})",
        f"Severity: {data.rule.severity}",
        f"Backends: {data.count}",
        "",
        *told,
        *([f"  and {more} more"] if more > 0 else []),
    )


def condition(rule: About) -> str:
    """Say when a rule raises an alert."""
    if rule.metric == Watched.CONNECTION:
        return f"away for {rule.hold:g} s"
    return f"{rule.metric} {rule.op} {_number(rule.threshold or 0.0, rule.unit)} for {rule.hold:g} s"


def _value(rule: About, value: float) -> str:
    return f"away for {value:.0f} s" if rule.metric == Watched.CONNECTION else _number(value, rule.unit)


def _number(value: float, unit: str) -> str:
    return f"{value:.4g} {unit}".rstrip() if abs(value) < 10_000 else f"{value:.0f} {unit}".rstrip()


def _name(alert: Alert) -> str:
    return printable(alert.backend_name)[:_LONGEST_NAME]


def _end(alert: Alert) -> str:
    return "" if alert.ended_at is None else f"  until {_time(alert.ended_at)}"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
