"""`python -m quix.supervisor`: started by the agent and found again by the next one, or a service of its own."""

from __future__ import annotations

import gc
import os
import resource
import sys
from typing import Final

import msgspec

from quix.exits import Exit, QuixError
from quix.supervisor import kernel, log, rlimits
from quix.supervisor.fdstore import FdStore
from quix.supervisor.protocol import Started
from quix.supervisor.settings import parse
from quix.supervisor.supervisor import BusyError, Supervisor

_STDOUT: Final = 1


def main() -> int:
    """Run a supervisor; return its exit status. What became of the start is one line on standard output."""
    store = FdStore()
    is_service = "--service" in sys.argv
    supervisor = None
    try:
        supervisor = Supervisor(parse(sys.argv[1:]), store)
        _settle()
    except BusyError:
        outcome = Started("busy", "another supervisor serves this data folder", Exit.UNAVAILABLE)
    except QuixError as error:
        outcome = Started("failed", str(error), error.code)
    else:
        outcome = Started("ready")
    if outcome.state == "failed" or (is_service and outcome.state == "busy"):
        log.event("error", outcome.detail)
    if not is_service:
        _tell(outcome)
    if supervisor is None:
        return outcome.code
    # All that lives now stays: no collection looks at it again, in this process or in a forked child.
    gc.collect()
    gc.freeze()
    supervisor.run()
    return Exit.OK


def _settle() -> None:
    """Make this process one that programs inherit nothing unforeseen from."""
    os.chdir("/")
    os.umask(0o077)  # the programs' too: what they write is theirs alone
    # A core file would hold whatever the program was given, and lie in a folder that it may write.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    rlimits.allow_files()
    kernel.become_subreaper()


def _tell(started: Started) -> None:
    """Say it, and let go of the pipe that it was said to."""
    try:
        os.write(_STDOUT, msgspec.json.encode(started) + b"\n")
    except BrokenPipeError:
        log.event("warning", "whoever started the supervisor did not wait for it")
    null = os.open("/dev/null", os.O_WRONLY)
    os.dup2(null, _STDOUT)
    os.close(null)


if __name__ == "__main__":
    sys.exit(main())
