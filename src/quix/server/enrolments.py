"""Enrolling with a key in the place of a user's password."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from quix.server.throttle import Throttle
from quix.store import Store
from quix.store.enrolments import PREFIX, Enrolment
from quix.wire.reasons import Reason, Refusal


class KeyRefusal(Refusal):
    """An enrolment key was refused. The peer is told what it is told of a wrong password, and nothing else; `why` is
    for the log and the audit."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(Reason.PASSWORD_INVALID)
        self.key = key
        self.why = why


class KeyChecker:
    """Checks enrolment keys; failures count as those of passwords do. `clock` gives epoch seconds."""

    def __init__(self, store: Store, throttle: Throttle, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._throttle = throttle
        self._clock = clock

    async def check(self, username: str, secret: str, source: str) -> Enrolment | None:
        """Return the key whose name and secret these are; None where the name is no key's. `source` is the address
        they came from. Whether a use is left for sure, only taking it tells.

        Raises:
            Refusal: RATE_LIMITED, or PASSWORD_INVALID (a `KeyRefusal`).
        """
        key = await self._store.enrolments.named(username) if username.startswith(PREFIX) else None
        if key is None:
            return None
        if wait := self._throttle.wait(key.name, source):
            raise Refusal(Reason.RATE_LIMITED, f"too many failed attempts; wait {math.ceil(wait)} s")
        if not await self._store.enrolments.is_secret(key, secret):
            raise self.refusal(key, "the secret is wrong", source)
        if key.expires_at <= self._clock():
            raise self.refusal(key, "the key is over", source)
        if key.used >= key.uses:
            raise self.refusal(key, "the key is used up", source)
        self._throttle.succeeded(key.name, source)
        return key

    def refusal(self, key: Enrolment, why: str, source: str) -> KeyRefusal:
        """Count a failure, and return what the peer is refused with."""
        self._throttle.failed(key.name, source)
        return KeyRefusal(key.name, why)
