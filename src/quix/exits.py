"""Exit codes of every `quix` command, after sysexits.h(3head), so that a script can tell failures apart.

`quix run` passes on the program's own status instead: its value, 128+N for a signal, 124 for a timeout, 125 when
Quix itself failed, 126 when the program could not be executed, 127 when there is none of that name. On many backends
at once it is one of these again.
"""

from __future__ import annotations

import sys
from enum import IntEnum


class Exit(IntEnum):
    OK = 0
    REFUSED = 1  # the backend or the server said no
    USAGE = 2  # the command line is wrong (Click's own code)
    SOME_FAILED = 3  # `quix run` on many backends: not every one of them succeeded
    DATA = 65  # EX_DATAERR: a value was not acceptable
    TOKEN_INVALID = 67  # EX_NOUSER: the server no longer knows this agent's token
    NO_BACKEND = 68  # EX_NOHOST: no backend of that name or id, or more than one
    UNAVAILABLE = 69  # EX_UNAVAILABLE: the server or the backend cannot be reached
    SOFTWARE = 70  # EX_SOFTWARE: a fault in Quix
    UNKNOWN_OUTCOME = 75  # EX_TEMPFAIL: it was sent, and no answer came
    PROTOCOL = 76  # EX_PROTOCOL: what answered is no Quix server
    DENIED = 77  # EX_NOPERM: not logged in, wrong password, or not allowed
    CONFIG = 78  # EX_CONFIG: the configuration cannot be used


class QuixError(Exception):
    """Something a person has to mend: `str()` is one line that says what and how; `code` is the exit status."""

    def __init__(self, message: str, code: Exit = Exit.REFUSED) -> None:
        # A message may repeat what a peer said, and that must neither add lines nor move the cursor.
        super().__init__(printable(message))
        self.code = code


def report(error: QuixError) -> Exit:
    """Say on stderr, in one line, what went wrong; return the exit status."""
    sys.stderr.write(f"quix: {error}\n")
    return error.code


def printable(text: str) -> str:
    """Return `text` with everything that a terminal might obey replaced."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
