"""A program that runs, and all that the supervisor holds of it."""

from __future__ import annotations

import os
import select
import time

from quix.supervisor import terminal
from quix.supervisor.cgroup import Cgroup
from quix.supervisor.feed import Feed
from quix.supervisor.loop import Timer
from quix.supervisor.output import Output
from quix.supervisor.run import Run
from quix.wire.reasons import Reason, Refusal
from quix.wire.runs import Outcome, Terminal


class Living:
    """One start of a run.

    Attributes:
        adopted: a process of somebody else's, so its end shows on the pidfd alone.
        since: when it started or was adopted, on the monotonic clock.
        verdict: why Quix ends it, once it does.
        timers: what is to be done while it lives.
    """

    def __init__(
        self,
        run: Run,
        pidfd: int,
        output: Output | None,
        *,
        adopted: bool = False,
        feed: Feed | None = None,
        pty: int | None = None,
        cgroup: Cgroup | None = None,
    ) -> None:
        """Take over the pidfd, and a descriptor of the terminal where there is one."""
        self.run = run
        self.pidfd = pidfd
        self.output = output
        self.adopted = adopted
        self.feed = feed
        self.cgroup = cgroup
        self.since = time.monotonic()
        self.verdict: Outcome | None = None
        self.timers: list[Timer] = []
        self._terminal = pty

    @property
    def has_ended(self) -> bool:
        """Whether the program itself has ended; it may still have to be reaped."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(0))

    @property
    def descriptors(self) -> list[int]:
        """What a successor needs that was not its parent; what the program reads is kept by itself (`feed`)."""
        sources = [] if self.output is None else self.output.sources
        return [self.pidfd, *sources, *([] if self._terminal is None else [self._terminal])]

    def resize(self, size: Terminal) -> None:
        """Raises Refusal where there is no terminal."""
        if self._terminal is None:
            raise Refusal(Reason.REQUEST_INVALID, "msg.run: it has no terminal")
        terminal.resize(self._terminal, size)

    def close(self) -> None:
        """Let go of all but the output, which outlives the program."""
        os.close(self.pidfd)
        if self.feed is not None:
            self.feed.release()
        if self._terminal is not None:
            os.close(self._terminal)
        for timer in self.timers:
            timer.cancel()
