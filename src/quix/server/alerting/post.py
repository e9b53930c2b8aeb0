"""Sending what waits in the outbox: one message of a channel at a time, the oldest first, again where it failed.

A message is taken out once its receiver has taken it; where the server is killed in between, it is sent again, under
the same id.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from pathlib import Path
from typing import Final

from quix import logs
from quix.server.alerting import text
from quix.server.alerting.email import Mailer, PartlyDeliveredError
from quix.server.alerting.errors import DeliveryError
from quix.server.alerting.webhook import post
from quix.server.metrics import Metrics
from quix.server.settings import AlertSettings
from quix.store import Store
from quix.store.alert_channels import Channel, ChannelKind
from quix.store.alert_messages import Message
from quix.store.errors import StoreUnavailableError
from quix.store.ids import new_id
from quix.vpn.seal import Seal

log = logs.get(__name__)

PAUSES: Final = (5.0, 30.0, 120.0, 300.0, 900.0, 1800.0, 3600.0)
"""Seconds after an attempt that failed; the last one again and again."""

PATIENCE: Final = 86400.0
"""Seconds after which a message is given up."""

_AT_ONCE: Final = 8
_LONGEST_WAIT: Final = 30.0
_RETRY: Final = 5.0


class Post:
    """Sends by webhook and e-mail, from `run()`. `data_dir` holds the key of the webhooks' secrets.

    Raises:
        QuixError: that key, or the file of the e-mail password, cannot be used.
    """

    def __init__(self, store: Store, metrics: Metrics, settings: AlertSettings, data_dir: Path) -> None:
        self._store = store
        self._metrics = metrics
        self._seal = Seal(data_dir / "alerts.key")
        self._mailer = Mailer(settings.email)
        self._trust = ssl.create_default_context()
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._news = asyncio.Event()

    def seal(self, channel_id: str, secret: str) -> bytes:
        """Return the secret of a channel as it is kept."""
        return self._seal.close(secret, channel_id)

    def look(self) -> None:
        """There is a message in the outbox."""
        self._news.set()

    async def test(self, channel: Channel, user: str) -> None:
        """Send a test message now.

        Raises:
            DeliveryError: it was not taken.
        """
        now = time.time()
        await self._send(channel, new_id(now), text.test(user, now))

    async def run(self) -> None:
        """Send what is due until cancelled."""
        try:
            while True:
                self._news.clear()
                wait = await self._round()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._news.wait()
        finally:
            tasks = [*self._busy.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _round(self) -> float:
        """Begin to send what is due; return the seconds until there may be more."""
        try:
            messages = await self._store.alert_messages.first()
        except StoreUnavailableError as error:
            log.warning("the outbox of alerts cannot be read; will try again", error=str(error))
            return _RETRY
        now, wait = time.time(), _LONGEST_WAIT
        for message in messages:
            if message.channel_id in self._busy:
                continue
            # One that would be due later than any pause is of a clock that was set back since.
            if now < message.due_at <= now + PAUSES[-1]:
                wait = min(wait, message.due_at - now)
                continue
            task = asyncio.create_task(self._deliver(message))
            self._busy[message.channel_id] = task
        return wait

    async def _deliver(self, message: Message) -> None:
        try:
            async with self._places:
                await self._attempt(message)
        except StoreUnavailableError as error:
            log.warning("a message about alerts waits for the store", channel=message.channel_id, error=str(error))
            await asyncio.sleep(_RETRY)
        except Exception:
            log.exception("a message about alerts cannot be dealt with; will try again", channel=message.channel_id)
            await asyncio.sleep(_RETRY)
        finally:
            del self._busy[message.channel_id]
            self._news.set()

    async def _attempt(self, message: Message) -> None:
        channel = await self._store.alert_channels.find(message.channel_id)
        if channel is None:
            return
        try:
            await self._send(channel, message.id, message.body)
        except PartlyDeliveredError:
            await self._store.alert_messages.drop(message)
        except DeliveryError as error:
            await self._failed(channel, message, error)
        else:
            await self._store.alert_messages.drop(message)

    async def _failed(self, channel: Channel, message: Message, error: DeliveryError) -> None:
        now = time.time()
        if now - message.created_at >= PATIENCE:
            log.error("a message about alerts is given up", channel=channel.name, error=str(error))
            await self._store.alert_channels.note(channel.id, f"given up after a day: {error}")
            await self._store.alert_messages.drop(message)
            return
        pause = PAUSES[min(message.attempts, len(PAUSES) - 1)]
        await self._store.alert_messages.postpone(message, now + pause)

    async def _send(self, channel: Channel, message_id: str, body: str) -> None:
        """Send a message and note on the channel how that went."""
        try:
            await self._hand_over(channel, message_id, body)
        except DeliveryError as error:
            self._metrics.delivered(channel.kind.value, "failed")
            log.warning("a message about alerts was not taken", channel=channel.name, error=str(error))
            await self._store.alert_channels.note(channel.id, str(error))
            raise
        self._metrics.delivered(channel.kind.value, "success")
        await self._store.alert_channels.note(channel.id, None)

    async def _hand_over(self, channel: Channel, message_id: str, body: str) -> None:
        try:
            if channel.kind is ChannelKind.WEBHOOK:
                secret = await self._secret(channel)
                await post(channel.url or "", secret, message_id, body.encode(), int(time.time()), self._trust)
            else:
                await self._mailer.send(channel.to, message_id, text.decode(body), self._trust)
        except (DeliveryError, StoreUnavailableError):
            raise
        except Exception as error:
            # Whatever it is, it is tried again after a pause, and seen at the channel, as any other failure is.
            log.exception("a message about alerts could not be sent", channel=channel.name)
            raise DeliveryError(f"a fault of the server, see its log: {type(error).__name__}") from error

    async def _secret(self, channel: Channel) -> str | None:
        if not channel.has_secret:
            return None
        sealed = await self._store.alert_channels.secret(channel.id)
        if sealed is None:
            return None
        secret = self._seal.open(sealed, channel.id)
        if secret is None:
            raise DeliveryError("the channel's secret was kept with another key; give it the secret again")
        return secret
