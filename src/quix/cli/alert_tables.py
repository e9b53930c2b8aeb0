"""Alerts, rules, channels and silences as tables; as pure as `quix.cli.render`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from quix.cli.render import Table, age, duration, rows_of

if TYPE_CHECKING:
    from quix.client import Alert, Channel, Rule, Silence


def alerts(found: Sequence[Alert], now: float) -> Table:
    rows = [
        (
            alert.state + (" (silenced)" if alert.silenced else ""),
            alert.severity,
            alert.rule_name,
            alert.backend_name,
            f"{alert.value:.4g}",
            age(now - alert.started_at),
            "" if alert.ended_at is None else duration(alert.ended_at - alert.started_at),
        )
        for alert in found
    ]
    head = ("STATE", "SEVERITY", "RULE", "BACKEND", "VALUE", "AGE", "LASTED")
    return Table(head, rows_of(rows), right=frozenset({4}), state=0, empty="There is no alert.")


def rules(found: Sequence[Rule]) -> Table:
    rows = [
        (
            rule.name,
            rule.severity if rule.enabled else "disabled",
            rule.metric if rule.threshold is None else f"{rule.metric} {rule.op} {rule.threshold:g}",
            "default" if rule.clear is None and rule.threshold is not None else _number(rule.clear),
            duration(rule.hold),
            _pairs(rule.labels),
            str(len(rule.channels)),
        )
        for rule in found
    ]
    head = ("NAME", "SEVERITY", "ALERT", "CLEAR", "FOR", "BACKENDS", "CHANNELS")
    return Table(head, rows_of(rows), empty="There is no rule: quix alert rule add NAME --metric connection")


def channels(found: Sequence[Channel], now: float) -> Table:
    rows = [
        (
            channel.name,
            channel.kind,
            channel.url or ", ".join(channel.to),
            "yes" if channel.has_secret else "",
            "" if channel.last_sent_at is None else age(now - channel.last_sent_at),
            channel.last_error or "",
        )
        for channel in found
    ]
    head = ("NAME", "KIND", "TO", "SIGNED", "LAST SENT", "LAST ERROR")
    return Table(head, rows_of(rows), empty="There is no channel: quix alert channel add NAME --url URL")


def silences(found: Sequence[Silence], now: float) -> Table:
    rows = [
        (
            silence.id,
            silence.rule_id or "all",
            silence.backend_id or _pairs(silence.labels),
            age(max(0.0, silence.until - now)),
            silence.created_by,
            silence.comment,
        )
        for silence in found
    ]
    head = ("ID", "RULE", "BACKENDS", "ENDS IN", "BY", "WHY")
    return Table(head, rows_of(rows), empty="Nothing is silenced.")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _pairs(labels: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(labels.items())) or "all"
