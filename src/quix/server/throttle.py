"""How fast passwords may be guessed.

Failures are counted twice: by user name and source together, and by source alone. The first stops guessing one
user's password, the second trying one password on many users. Nothing is counted by user name alone: whoever
knows a name could then keep its owner out from anywhere. So an attacker with many addresses gets a few guesses
from each of them, which long passwords and argon2id are there for.

`Limit.free` failures cost nothing; after each further one the next attempt has to wait, twice as long as before.
Attempts in that time are refused without being looked at, and do not count, so that nobody can prolong the wait.
After `MEMORY` without a failure all is forgotten. A success forgets the failures of that user from that source, but
not those of the source: one account of his own would let an attacker guess on for ever.

A server behind a proxy must be told the client's address, or all clients are one source.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final

from msgspec import Struct

MEMORY: Final = 900.0
"""Seconds after the last failure when a count starts anew."""

LONGEST_WAIT: Final = 300.0
"""Seconds that a wait never passes; below MEMORY, so that waiting it out is not a fresh start."""

ENTRIES: Final = 10_000
"""Counts kept of each sort, the least recently failed forgotten first; about 2 MB for both."""


class Limit(Struct, frozen=True):
    """`free` failures cost nothing; the next costs `first_wait` seconds, and each after it twice the one before."""

    free: int
    first_wait: float


PAIR_LIMIT: Final = Limit(free=5, first_wait=1.0)
SOURCE_LIMIT: Final = Limit(free=20, first_wait=1.0)
"""Looser: behind one address there may be an office, or a fleet of which a few have an old password."""


class Throttle:
    """Counts failures and says how long to wait. `clock` gives seconds, and never goes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pairs = _Counts(PAIR_LIMIT)
        self._sources = _Counts(SOURCE_LIMIT)

    def wait(self, username: str, source: str) -> float:
        """Return the seconds until this source may try this user's password; 0 means now."""
        network = _network(source)
        now = self._clock()
        return max(self._pairs.wait((username, network), now), self._sources.wait(network, now))

    def failed(self, username: str, source: str) -> None:
        """A password was wrong, or the user unknown."""
        network = _network(source)
        now = self._clock()
        self._pairs.add((username, network), now)
        self._sources.add(network, now)

    def succeeded(self, username: str, source: str) -> None:
        """A password was right."""
        self._pairs.forget((username, _network(source)))


class _Counts:
    """Failures in a row by key: how many, and when the last was."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._counts: OrderedDict[Hashable, tuple[int, float]] = OrderedDict()

    def wait(self, key: Hashable, now: float) -> float:
        count, last = self._counts.get(key, (0, now))
        over = count - self._limit.free
        if over <= 0 or now - last >= MEMORY:
            return 0.0
        # The exponent is bounded since a float's is.
        delay = min(self._limit.first_wait * 2.0 ** min(over - 1, 64), LONGEST_WAIT)
        return max(0.0, last + delay - now)

    def add(self, key: Hashable, now: float) -> None:
        count, last = self._counts.pop(key, (0, now))
        self._counts[key] = (count + 1 if now - last < MEMORY else 1, now)
        if len(self._counts) > ENTRIES:
            self._counts.popitem(last=False)

    def forget(self, key: Hashable) -> None:
        self._counts.pop(key, None)


def _network(source: str) -> str:
    """Return what counts as one source: an IPv4 address, the /64 of an IPv6 one (RFC 6177), else the text."""
    try:
        address = ip_address(source)
    except ValueError:
        return source
    if not isinstance(address, IPv6Address):
        return source
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address), 64), strict=False))
