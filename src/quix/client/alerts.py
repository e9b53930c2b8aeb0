# Made from aio/alerts.py by tools/sync_client.py: change that, and run `make sdk`.

"""Alerts, the rules that raise them, and who is told."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from quix.client.alert_models import Alert, Channel, Rule, Silence
from quix.client.calls import Calls
from quix.client.paths import segment


class AlertCalls(Calls):
    """The part of the client that is about alerts. Rules and channels are named by id or name."""

    def alerts(self, *, state: str = "", backend: str = "") -> Generator[Alert]:
        """Yield alerts, the newest first; `state` is firing or resolved."""
        params = {"state": state, "backend": backend}
        return self._pages("/alerts", Alert, {name: text for name, text in params.items() if text})

    # -- rules ----------------------------------------------------------------------------------

    def alert_rules(self) -> Generator[Rule]:
        """Yield the rules, the oldest first."""
        return self._pages("/alerts/rules", Rule)

    def add_alert_rule(
        self,
        name: str,
        metric: str,
        *,
        op: str = "above",
        threshold: float | None = None,
        clear: float | None = None,
        hold: float = 60.0,
        labels: Mapping[str, str] | None = None,
        channels: Sequence[str] = (),
        severity: str = "warning",
    ) -> Rule:
        """Add a rule: an alert where the metric is above (or below: `op`) the threshold for `hold` seconds, until it is
        back at `clear`."""
        body = {
            "name": name,
            "metric": metric,
            "op": op,
            "threshold": threshold,
            "clear": clear,
            "for": hold,
            "labels": dict(labels or {}),
            "channels": list(channels),
            "severity": severity,
        }
        return self._connection.call("POST", "/alerts/rules", Rule, body=body)

    def change_alert_rule(self, rule: str, changes: Mapping[str, Any]) -> Rule:
        """Change fields of a rule, by their names in REST."""
        return self._connection.call("PATCH", f"/alerts/rules/{segment(rule, 'rule')}", Rule, body=dict(changes))

    def remove_alert_rule(self, rule: str) -> None:
        """Remove a rule; its alerts end, and nobody is told."""
        self._connection.send("DELETE", f"/alerts/rules/{segment(rule, 'rule')}")

    # -- channels -------------------------------------------------------------------------------

    def alert_channels(self) -> Generator[Channel]:
        """Yield the channels, the oldest first."""
        return self._pages("/alerts/channels", Channel)

    def add_webhook(self, name: str, url: str, secret: str | None = None) -> Channel:
        """Add a channel that posts to a URL; with a secret (`whsec_...`) its messages are signed."""
        body = {"name": name, "kind": "webhook", "url": url, "secret": secret}
        return self._connection.call("POST", "/alerts/channels", Channel, body=body)

    def add_email(self, name: str, to: Sequence[str]) -> Channel:
        """Add a channel that sends e-mail."""
        body = {"name": name, "kind": "email", "to": list(to)}
        return self._connection.call("POST", "/alerts/channels", Channel, body=body)

    def remove_alert_channel(self, channel: str) -> None:
        """Remove a channel; rules forget it."""
        self._connection.send("DELETE", f"/alerts/channels/{segment(channel, 'channel')}")

    def test_alert_channel(self, channel: str) -> None:
        """Have a test message sent now; an ApiError `delivery_failed` says what the receiver said."""
        self._connection.send("POST", f"/alerts/channels/{segment(channel, 'channel')}/test")

    # -- silences -------------------------------------------------------------------------------

    def silences(self) -> Generator[Silence]:
        """Yield the silences that hold, the oldest first."""
        return self._pages("/alerts/silences", Silence)

    def add_silence(
        self,
        until: float,
        *,
        rule: str | None = None,
        backend: str | None = None,
        labels: Mapping[str, str] | None = None,
        comment: str = "",
    ) -> Silence:
        """Silence alerts until a time (epoch seconds): of a rule, of a backend, of backends with labels, or all."""
        body = {
            "until": until,
            "rule_id": rule,
            "backend_id": backend,
            "labels": dict(labels or {}),
            "comment": comment,
        }
        return self._connection.call("POST", "/alerts/silences", Silence, body=body)

    def remove_silence(self, silence_id: str) -> None:
        """End a silence now."""
        self._connection.send("DELETE", f"/alerts/silences/{segment(silence_id, 'silence_id')}")
