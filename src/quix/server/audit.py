"""Keeping who did what, from where, with what outcome.

- What is a change of the store is written in the change's own transaction: both are there or neither is.
- A program is only started once the row that says so is on the disk, with the outcome `asked`; a second one follows.
- All else is written when its outcome is known, within some 50 ms and many rows at a time: nobody waits for it. A
  server that is killed in that time loses those rows.
- A failure that repeats is written once a minute, with how often it was.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import msgspec

from quix import logs
from quix.exits import Exit, QuixError
from quix.server.caller import Caller
from quix.store import Store
from quix.store.actions import Action
from quix.store.audit import LONGEST, Entry
from quix.store.errors import StoreUnavailableError
from quix.wire.reasons import Reason

T = TypeVar("T")

log = logs.get(__name__)

_GATHER: Final = 0.05
_RETRY: Final = 1.0
_CALM: Final = 60.0
"""Seconds in which a failure that repeats is counted and not written again."""

_KEPT: Final = 10_000
"""Rows that wait for a store that is away, and things that are remembered."""

_ROWS: Final = 1000

ASKED: Final = "asked"
INTERRUPTED: Final = "interrupted"
"""Outcome of what was cut short, as by a server that goes down; it may or may not have been done."""


class Act:
    """One action while it is done. Whoever does it says what it is about, and hands the row to the store where the
    store changes with it."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self.is_kept = False

    @property
    def user(self) -> str:
        return self._entry.user

    def about(self, target: str) -> None:
        """Say which run, process or user it is, where that was not known before."""
        self._entry = msgspec.structs.replace(self._entry, target=target)

    def asked(self) -> Entry:
        """Return the row that is written before it is done."""
        return self.ended(ASKED)

    def kept(self) -> Entry:
        """Return the row of success, for the transaction in which it is done: nothing more is written then."""
        self.is_kept = True
        return self._entry

    def ended(self, outcome: str) -> Entry:
        return msgspec.structs.replace(self._entry, outcome=outcome)


class Auditor:
    """Writes the audit's rows, from `run()`. `clock` gives epoch seconds."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._waiting: list[tuple[float, Entry]] = []
        self._has_some = asyncio.Event()
        self._turn = asyncio.Lock()
        self._failures: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()
        self._known: OrderedDict[Hashable, None] = OrderedDict()

    @contextmanager
    def act(self, who: Caller, action: Action, backend_id: str = "", target: str = "", **detail: str) -> Iterator[Act]:
        """Give the block an `Act`, and write how the block ends: with `success`, or the reason of its exception."""
        act = Act(
            Entry(
                action=action,
                user=who.name,
                address=who.address,
                backend_id=backend_id,
                target=target,
                detail={**_token(who), **{name: value for name, value in detail.items() if value}},
            )
        )
        try:
            yield act
        except BaseException as error:
            self.note(act.ended(reason_of(error)))
            raise
        if not act.is_kept:
            self.note(act.ended("success"))

    def note(self, entry: Entry) -> None:
        """Have a row written soon."""
        now = self._clock()
        worth = entry if entry.outcome == "success" else self._calmed(entry, now)
        if worth is None:
            return
        if len(self._waiting) >= _KEPT:
            log.error("a row of the audit is lost: the store is away for too long", **msgspec.structs.asdict(worth))
            return
        self._waiting.append((now, worth))
        self._has_some.set()

    def first(self, who: Caller, action: Action, backend_id: str, target: str) -> None:
        """Have a row written where this user has not done this since the server started."""
        key = (who.name, action, target)
        if key in self._known:
            self._known.move_to_end(key)
            return
        _remember(self._known, key, None)
        self.note(
            Entry(
                action=action,
                user=who.name,
                address=who.address,
                backend_id=backend_id,
                target=target,
                detail=_token(who),
            )
        )

    async def note_failed(self, entry: Entry, username: str) -> None:
        """Have a failed login or enrolment written, with the name of the user that there is; what is no user's may be
        a password that was typed in the wrong place, or a megabyte."""
        try:
            user = await self._store.users.get(username[:LONGEST])
        except StoreUnavailableError:
            user = None
        self.note(msgspec.structs.replace(entry, user=user.name if user is not None else ""))

    def _calmed(self, entry: Entry, now: float) -> Entry | None:
        """Return a failure as it is to be written, or None where that was done a moment ago."""
        key = (entry.action, entry.user, entry.address, entry.backend_id, entry.target, entry.outcome)
        since, count = self._failures.get(key, (-_CALM, 0))
        if 0 <= now - since < _CALM:
            self._failures[key] = (since, count + 1)
            return None
        _remember(self._failures, key, (now, 0))
        return msgspec.structs.replace(entry, detail={**entry.detail, "repeated": count}) if count else entry

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._has_some.wait()
            await asyncio.sleep(_GATHER)
            # Not cut short where this is cancelled: nobody would know whether the rows were written.
            if not await asyncio.shield(self.flush()):
                await asyncio.sleep(_RETRY)

    async def flush(self) -> bool:
        """Write what waits; return whether the store took all of it."""
        async with self._turn:
            while self._waiting:
                rows = self._waiting[:_ROWS]
                try:
                    await self._store.audit.add(rows)
                except StoreUnavailableError as error:
                    log.warning("rows of the audit wait for the store", count=len(self._waiting), error=str(error))
                    return False
                del self._waiting[: len(rows)]
            self._has_some.clear()
            return True


def _token(who: Caller) -> dict[str, str | int]:
    """Name the personal token that something was done with."""
    return {"token": who.token} if who.token else {}


def _remember(kept: OrderedDict[Hashable, T], key: Hashable, value: T) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > _KEPT:
        kept.popitem(last=False)


def reason_of(error: BaseException) -> str:
    """Return the reason that an exception stands for, the one that whoever asked is told."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, str):
        return reason
    if isinstance(error, asyncio.CancelledError):
        return INTERRUPTED
    is_theirs = isinstance(error, QuixError) and error.code is Exit.DATA
    return (Reason.REQUEST_INVALID if is_theirs else Reason.INTERNAL_ERROR).value
