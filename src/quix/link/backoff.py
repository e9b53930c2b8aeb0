"""How long to wait before the next attempt to connect."""

from __future__ import annotations

import random
from typing import Final

_FIRST: Final = 0.5
LONGEST: Final = 60.0


class Backoff:
    """Full-jitter exponential back-off: each wait is drawn evenly from 0 to a cap that doubles from 0.5 s to 60 s.

    A fleet that lost its server at one moment so comes back spread over the cap, not all at once
    (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog 2015).
    """

    def __init__(self, rng: random.Random | None = None, longest: float = LONGEST) -> None:
        """`longest`: seconds to wait at most."""
        self._rng = rng or random.SystemRandom()
        self._longest = longest
        self._first = min(_FIRST, longest)
        self._cap = self._first

    def next(self) -> float:
        """Return the seconds to wait, and double the cap of the one after."""
        delay = self._rng.uniform(0, self._cap)
        self._cap = min(self._cap * 2, self._longest)
        return delay

    def at_least(self, cap: float) -> None:
        """Draw the next wait from 0 to `cap` or more: the server asked for patience."""
        self._cap = max(self._cap, min(cap, self._longest))

    def reset(self) -> None:
        """The connection held: begin with short waits again."""
        self._cap = self._first
