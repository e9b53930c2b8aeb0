"""Alerts: rules that are looked at every two seconds, what they raise, and telling it.

    Fleet, Collector --> Member.look() --> Watch --ripe, over--> store --after `gather` seconds--> outbox --> Post

What fires is in the store, so that a server that comes back goes on with it; what is on its way to fire is in memory
alone, and begins anew. So does the time that backends are away, which gives a fleet the time of a rule to reconnect.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from quix import logs
from quix.server.alerting import text
from quix.server.alerting.fleet import Member, Over
from quix.server.alerting.post import Post
from quix.server.alerting.watch import Ripe, Watch
from quix.server.collector import Collector
from quix.server.events import Hub, Kind
from quix.server.fleet import Fleet
from quix.server.metrics import Metrics
from quix.server.settings import ServerSettings
from quix.store import Store
from quix.store.alert_channels import Channel
from quix.store.alert_messages import Message
from quix.store.alert_rules import Watched
from quix.store.alert_silences import Hush
from quix.store.alerts import Alert, Untold
from quix.store.errors import StoreUnavailableError
from quix.store.ids import new_id
from quix.store.roster import Known

T = TypeVar("T")

log = logs.get(__name__)

LOOK: Final = 2.0
"""Seconds between two looks at the fleet."""

_SLICE: Final = 250
"""Backends that are looked at in one go: a few milliseconds where all have new samples."""

_TOGETHER: Final = 500
"""Alerts that are written in one transaction."""

_INTERVALS: Final = 3.0
_SHORTEST: Final = 30.0
"""A sample tells nothing more after that many of its intervals, and not before that many seconds."""

_OF_BACKENDS: Final = frozenset(
    {Kind.BACKEND_ENROLLED, Kind.BACKEND_CHANGED, Kind.BACKEND_REVOKED, Kind.BACKEND_REMOVED}
)
_OF_PRESENCE: Final = frozenset({Kind.BACKEND_CONNECTED, Kind.BACKEND_DISCONNECTED})


class Alerting:
    """Looks at the fleet from `run()`; `begin` comes before it."""

    def __init__(
        self, store: Store, fleet: Fleet, collector: Collector, hub: Hub, metrics: Metrics, settings: ServerSettings
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._collector = collector
        self._hub = hub
        self._metrics = metrics
        self._gather = settings.alerts.gather
        self._patience = max(_SHORTEST, _INTERVALS * settings.telemetry.interval)
        self._post = Post(store, metrics, settings.alerts, Path(settings.data_dir))
        self._reader = hub.read()
        self._members: dict[str, Member] = {}
        self._watches: dict[str, Watch] = {}
        self._hushes: list[Hush] = []
        self._due: dict[str, float] = {}
        self._is_changed = True
        self._must_hush = True

    # -- what the operators' door calls ---------------------------------------------------------

    def changed(self) -> None:
        """Rules, channels or silences are others now."""
        self._is_changed = True

    def seal(self, channel_id: str, secret: str) -> bytes:
        """Return the secret of a channel as it is kept."""
        return self._post.seal(channel_id, secret)

    async def test(self, channel: Channel, user: str) -> None:
        """Send a test message now. Raises DeliveryError: it was not taken."""
        await self._post.test(channel, user)

    # -- looking --------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Learn who there is, and what fired when the last server stopped."""
        await self._load_members()
        await self._load_rules()
        for alert in await self._store.alerts.firing():
            watch = self._watches.get(alert.rule_id)
            if watch is not None and alert.backend_id in self._members:
                watch.fire(alert)
            else:
                await self._end_quietly([alert])
        await self._drop_strangers([*self._members.values()])
        now = time.monotonic()
        self._due = dict.fromkeys(self._watches, now + self._gather)

    async def run(self) -> None:
        """Look and send until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._post.run())
            group.create_task(self._look_on())

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            try:
                await self.look()
            except StoreUnavailableError as error:
                log.warning("alerts wait for the store", error=str(error))
                self._is_changed = self._must_hush = True
                # Past what happened meanwhile: all backends are loaded anew.
                self._reader.place = 0
                for member in self._members.values():
                    member.look_again()

    async def look(self) -> None:
        """Look at the whole fleet once, and keep and tell what comes of it.

        Raises:
            StoreUnavailableError: the store does not answer; what was not kept is looked at again.
        """
        await self._note_backends()
        if self._is_changed:
            self._is_changed = False
            await self._load_rules()
            await self._drop_strangers([*self._members.values()])
        over: list[Over] = []
        for some in _batched([*self._members.values()], _SLICE):
            now = time.monotonic()
            for member in some:
                over += member.look(self._fleet, self._collector, now, self._patience)
            await asyncio.sleep(0)
        await self._end(over)
        # A machine tells its name before its first sample, and both may have come since the first look at who there is.
        await self._note_backends()
        for watch in [*self._watches.values()]:
            await self._raise(watch)
        await self._hush()
        await self._tell()
        self._count()

    # -- who there is ---------------------------------------------------------------------------

    async def _load_members(self) -> None:
        async for some in self._store.roster.all():
            for known in some:
                self._members.setdefault(known.id, Member(known)).known = known

    async def _note_backends(self) -> None:
        """Take notice of backends that were added, changed and removed."""
        if self._reader.is_late:
            self._reader.skip()
            await self._compare([*self._members])
            await self._load_members()
            await self._drop_strangers([*self._members.values()])
            return
        happened = [kept.event for kept in self._reader.take()]
        ids = dict.fromkeys(event.backend_id for event in happened if event.kind in _OF_BACKENDS)
        if ids:
            await self._compare([*ids])
        # Also one that came and left between two looks.
        for backend_id in (event.backend_id for event in happened if event.kind in _OF_PRESENCE):
            if (member := self._members.get(backend_id)) is not None:
                member.note_here()

    async def _compare(self, backend_ids: Sequence[str]) -> None:
        """Compare what is known of some backends with the store."""
        found = {known.id: known for known in await self._store.roster.some(backend_ids)}
        for backend_id in backend_ids:
            known = found.get(backend_id)
            if known is None:
                await self._forget(backend_id)
            else:
                self._members.setdefault(backend_id, Member(known)).known = known
        await self._drop_strangers([self._members[each] for each in found])
        self._must_hush = True

    async def _forget(self, backend_id: str) -> None:
        member = self._members.get(backend_id)
        if member is None:
            return
        gone = [alert for watch in self._watches.values() if (alert := watch.firing.get(backend_id)) is not None]
        await self._end_quietly(gone, member.known.labels)
        for watch in self._watches.values():
            watch.forget(backend_id)
        del self._members[backend_id]

    # -- rules ----------------------------------------------------------------------------------

    async def _load_rules(self) -> None:
        rules = {rule.id: rule for rule in await self._store.alert_rules.all() if rule.enabled}
        self._hushes = await self._store.alert_silences.all()
        self._must_hush = True
        for rule_id, watch in [*self._watches.items()]:
            rule = rules.get(rule_id)
            if rule is None or rule.metric != watch.rule.metric:
                await self._end_quietly([*watch.firing.values()])
                del self._watches[rule_id]
                self._due.pop(rule_id, None)
        watches = {rule_id: Watch(rule) for rule_id, rule in rules.items()}
        for rule_id, watch in watches.items():
            if (before := self._watches.get(rule_id)) is not None:
                watch.take_over(before)
        self._watches = watches

    async def _drop_strangers(self, members: Sequence[Member]) -> None:
        """Give backends the rules that are about them; alerts of others end."""
        for some in _batched(members, _SLICE):
            pairs = [(each.known.id, watch) for each in some for watch in each.watch_by(self._watches.values())]
            # Forgotten once that is kept: where the store is away, they are found here again when it is back.
            found = (watch.firing.get(backend_id) for backend_id, watch in pairs)
            await self._end_quietly([alert for alert in found if alert is not None])
            for backend_id, watch in pairs:
                watch.forget(backend_id)
            await asyncio.sleep(0)

    # -- raising and ending ---------------------------------------------------------------------

    async def _raise(self, watch: Watch) -> None:
        now = time.monotonic()
        for ripe in _batched([*watch.ripe(now)], _TOGETHER):
            raised = [self._alert(watch, each, now) for each in ripe]
            await self._store.alerts.raise_(raised)
            for alert in raised:
                watch.fire(alert)
                self._publish(Kind.ALERT_RAISED, alert)
            self._due.setdefault(watch.rule.id, now + self._gather)
            log.info("alerts raised", rule=watch.rule.name, count=len(raised))

    def _alert(self, watch: Watch, ripe: Ripe, now: float) -> Alert:
        rule, at = watch.rule, time.time()
        known = self._members[ripe.backend_id].known
        return Alert(
            id=new_id(at),
            rule_id=rule.id,
            rule_name=rule.name,
            severity=rule.severity,
            backend_id=known.id,
            backend_name=known.name,
            state="firing",
            value=now - ripe.since if rule.metric is Watched.CONNECTION else ripe.value,
            started_at=at,
            ended_at=None,
            silenced=self._is_hushed(rule.id, known),
        )

    async def _end(self, over: Sequence[Over]) -> None:
        at = time.time()
        for some in _batched(over, _TOGETHER):
            await self._store.alerts.end([watch.firing[backend_id].id for watch, backend_id, _ in some], at)
            for watch, backend_id, value in some:
                alert = watch.firing.pop(backend_id)
                self._publish(Kind.ALERT_RESOLVED, msgspec.structs.replace(alert, value=value))
                self._due.setdefault(watch.rule.id, time.monotonic() + self._gather)
            log.info("alerts resolved", count=len(some))

    async def _end_quietly(self, alerts: Sequence[Alert], gone: dict[str, str] | None = None) -> None:
        """End alerts, and tell nobody by a channel."""
        for some in _batched(alerts, _TOGETHER):
            await self._store.alerts.end([alert.id for alert in some], time.time(), is_quiet=True)
            for alert in some:
                self._publish(Kind.ALERT_RESOLVED, alert, gone)

    def _publish(self, kind: Kind, alert: Alert, gone: dict[str, str] | None = None) -> None:
        told = {"alert": alert.id, "rule": alert.rule_name, "severity": alert.severity, "value": alert.value}
        self._hub.publish(kind, alert.backend_id, gone, **told)

    # -- silences -------------------------------------------------------------------------------

    def _is_hushed(self, rule_id: str, known: Known) -> bool:
        now = time.time()
        return any(hush.covers(rule_id, known.id, known.labels) for hush in self._hushes if hush.silence.until > now)

    async def _hush(self) -> None:
        """Keep which alerts are silenced; what is silenced no longer is told then."""
        now = time.time()
        left = [hush for hush in self._hushes if hush.silence.until > now]
        if len(left) == len(self._hushes) and not self._must_hush:
            return
        self._hushes = left
        for watch in [*self._watches.values()]:
            for some in _batched([*watch.firing.values()], _TOGETHER):
                await self._hush_some(watch, some)
        self._must_hush = False

    async def _hush_some(self, watch: Watch, alerts: Sequence[Alert]) -> None:
        other: dict[str, Alert] = {}
        for alert in alerts:
            is_hushed = self._is_hushed(alert.rule_id, self._members[alert.backend_id].known)
            if is_hushed != alert.silenced:
                other[alert.id] = msgspec.structs.replace(alert, silenced=is_hushed)
        await asyncio.sleep(0)
        if other:
            await self._store.alerts.silence({each.id: each.silenced for each in other.values()})
            watch.firing.update((each.backend_id, each) for each in other.values())
            self._due.setdefault(watch.rule.id, time.monotonic())

    # -- telling --------------------------------------------------------------------------------

    async def _tell(self) -> None:
        now = time.monotonic()
        for rule_id in [rule_id for rule_id, due in self._due.items() if due <= now]:
            watch = self._watches.get(rule_id)
            if watch is not None and await self._tell_of(watch):
                self._post.look()
            self._due.pop(rule_id, None)

    async def _tell_of(self, watch: Watch) -> int:
        now, rule = time.time(), watch.rule

        def compose(raised: Untold, over: Untold) -> list[Message]:
            bodies = []
            if raised.count:
                bodies.append(text.about(rule, "alert.raised", raised, now))
            if over.count:
                bodies.append(text.about(rule, "alert.resolved", over, now))
            # What comes later has a later id: the order in which a channel sends them.
            return [
                Message(id=new_id(now + place * 1e-5), channel_id=channel, body=body, created_at=now, due_at=now)
                for channel in rule.channels
                for place, body in enumerate(bodies)
            ]

        return await self._store.alerts.tell(rule.id, text.FIRST, compose)

    def _count(self) -> None:
        counts = {"warning": 0, "critical": 0}
        for watch in self._watches.values():
            counts[watch.rule.severity] += len(watch.firing)
        for severity, count in counts.items():
            self._metrics.alerts_firing.labels(severity).set(count)


def _batched(items: Sequence[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while some := [*islice(iterator, size)]:
        yield some
