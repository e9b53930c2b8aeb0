"""Alerts, the rules that raise them, and who is told, as the SDK gives them."""

from __future__ import annotations

from msgspec import Struct, field


class Alert(Struct, frozen=True, kw_only=True):
    """A rule that holds for a backend (`state` firing), or did (resolved). `value` is what was measured when it was
    raised; for `connection` the seconds that the backend had been away. Times in epoch seconds."""

    id: str
    rule_id: str
    rule_name: str
    severity: str
    backend_id: str
    backend_name: str
    state: str
    value: float
    started_at: float
    ended_at: float | None
    silenced: bool


class Rule(Struct, frozen=True, kw_only=True):
    """What is watched of the backends that have all of the `labels`. `hold` are the seconds that it has to be so before
    it is an alert (`for` in REST); `channels` are ids. docs/alerts.md lists the metrics and their units."""

    id: str
    name: str
    metric: str
    op: str
    threshold: float | None
    clear: float | None
    hold: float = field(name="for")
    labels: dict[str, str]
    channels: list[str]
    severity: str
    enabled: bool
    created_by: str
    created_at: float


class Channel(Struct, frozen=True, kw_only=True):
    """Where alerts are told: `kind` webhook with a `url`, or email with addresses (`to`). `last_error` is why the last
    attempt failed, and None where it did not."""

    id: str
    name: str
    kind: str
    url: str | None
    to: list[str]
    has_secret: bool
    created_at: float
    last_sent_at: float | None
    last_error: str | None


class Silence(Struct, frozen=True, kw_only=True):
    """Nobody is told of alerts of the rule, of the backend and of backends with the labels, each where it is given."""

    id: str
    rule_id: str | None
    backend_id: str | None
    labels: dict[str, str]
    until: float
    comment: str
    created_by: str
    created_at: float
