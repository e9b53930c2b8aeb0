"""What a container's first process owes all others where it is an agent: to wait for those that have lost their parent.

Without that they stay zombies, and how a program ended that outlived its supervisor is known to nobody.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Final

_PASSED_ON: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def become() -> None:
    """Go on as a child, in which alone this returns. The first process passes signals on to it, waits for whoever ends,
    and exits as the child does."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)  # the kernel drops what the first process has no handler for
    child = os.fork()
    if child:
        for number in _PASSED_ON:
            signal.signal(number, lambda number, _frame: os.kill(child, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    while child:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            sys.exit(code if code >= 0 else 128 - code)
