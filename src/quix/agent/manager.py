"""Telling the service manager how the agent is, where one started it."""

from __future__ import annotations

from quix import logs, notify

log = logs.get(__name__)


def tell(fact: str) -> None:
    """Say one line of sd_notify(3); that it cannot be said is logged, and changes nothing."""
    if obstacle := notify.tell(fact):
        log.warning("the service manager could not be told", fact=fact, error=obstacle)
