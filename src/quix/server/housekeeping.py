"""What a server clears away while it runs."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from typing import Final

from quix import logs
from quix.server.programs import Programs
from quix.store import Store
from quix.store.errors import StoreUnavailableError
from quix.store.samples import Retention

log = logs.get(__name__)

_DAILY: Final = 86400.0
_HOURLY: Final = 3600.0
_EACH_MINUTE: Final = 60.0
_OFTEN: Final = 5.0

_PAUSE: Final = 0.05
"""Seconds between two transactions that delete, for others to write meanwhile."""


async def keep_house(
    store: Store, programs: Programs, retention: Retention, runs_keep: float, audit_keep: float, alerts_keep: float
) -> None:
    """Do all duties, each at the start and then at its interval, until cancelled.

    `runs_keep`: seconds that a run stays in the history after its end; `audit_keep`: seconds that a row of the audit
    is kept; `alerts_keep`: seconds that an alert is kept after its end.
    """

    async def delete_tokens() -> None:
        if count := await store.tokens.purge(time.time()) + await store.enrolments.purge(time.time()):
            log.info("expired tokens and enrolment keys deleted", count=count)

    async def delete_runs() -> None:
        if count := await store.runs.purge(time.time() - runs_keep):
            log.info("old runs deleted", count=count)

    async def delete_samples() -> None:
        count = 0
        while some := await store.samples.purge(retention):
            count += some
            await asyncio.sleep(_PAUSE)
        log.debug("old samples deleted", rows=count)

    async def trim_audit() -> None:
        if count := await store.audit.trim(time.time() - audit_keep):
            log.info("old rows of the audit deleted", count=count)

    await asyncio.gather(
        _again_and_again("delete alerts", functools.partial(_delete_alerts, store, alerts_keep), _HOURLY),
        _again_and_again("trim the audit", trim_audit, _DAILY),
        _again_and_again("delete runs", delete_runs, _HOURLY),
        _again_and_again("delete samples", delete_samples, _EACH_MINUTE),
        _again_and_again("delete tokens", delete_tokens, _HOURLY),
        _again_and_again("note when tokens were used", store.credentials.flush, _OFTEN),
        _again_and_again("settle runs", programs.settle, _EACH_MINUTE),
    )


async def _delete_alerts(store: Store, keep: float) -> None:
    count = await store.alert_silences.purge()
    while some := await store.alerts.purge(time.time() - keep):
        count += some
        await asyncio.sleep(_PAUSE)
    if count:
        log.info("old alerts and silences deleted", count=count)


async def _again_and_again(duty: str, work: Callable[[], Awaitable[None]], interval: float) -> None:
    while True:
        try:
            await work()
        except StoreUnavailableError as error:
            log.warning("the store is away; will try again", duty=duty, error=str(error))
        await asyncio.sleep(interval)
