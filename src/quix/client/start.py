# Made from aio/start.py by tools/sync_client.py: change that, and run `make sdk`.

"""Starting a program once, whatever is lost on the way."""

from __future__ import annotations

import time
from typing import Final

from quix.client.connection import Connection
from quix.client.errors import (
    DeniedError,
    FaultError,
    NoAnswerError,
    NotQuixServerError,
    ServerUnreachableError,
    UnknownOutcomeError,
)
from quix.client.models import Backend, Started
from quix.client.paths import backend_path

PATIENCE: Final = 45.0
"""Seconds after a start that was not answered for which it is asked for again."""

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0

_ANSWERS: Final = 3
"""How often the server may say that the backend gave no usable answer: it has waited for one each time, or it cannot
ask again, of an agent that would start the program twice."""

_Doubt = FaultError | NoAnswerError | UnknownOutcomeError
"""A failure after which it may have been started."""


class Start:
    """One start of one program: however often it is asked for, it is the same by its key."""

    def __init__(self, connection: Connection, backend: str, body: object, key: str) -> None:
        self._connection = connection
        self._path = backend_path(backend)
        self._body = body
        self._headers = {"Idempotency-Key": key}
        self._unknown = 0

    def ask(self, patience: float) -> Started:
        """Ask for it until it is answered, for `patience` seconds after the first failure that leaves it in doubt.

        Raises:
            QuixError: it was not started, or whether it was is not known. After a failure that left it in doubt
                nothing becomes certain by another, such as a server that is gone: it is the former that is raised.
        """
        answer = self._attempt(None)
        deadline, pause = time.monotonic() + patience, _FIRST_PAUSE
        while not isinstance(answer, Started):
            if self._unknown == _ANSWERS or time.monotonic() + pause > deadline:
                raise answer
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            answer = self._attempt(answer)
        return answer

    def _attempt(self, doubt: _Doubt | None) -> Started | _Doubt:
        """Ask once, where an earlier attempt may have left it in `doubt`; return the answer, or what doubt is left."""
        try:
            # A server that was away has its backends back a moment later; to one that is not there yet, it says no.
            if doubt is None or (self._connection.call("GET", self._path, Backend)).connected:
                path = f"{self._path}/processes"
                return self._connection.call("POST", path, Started, body=self._body, headers=self._headers)
        except UnknownOutcomeError as error:
            self._unknown += 1
            return error
        except (FaultError, NoAnswerError) as error:
            return error
        except ServerUnreachableError:
            if doubt is None:
                raise
        except (DeniedError, NotQuixServerError) as error:
            if doubt is None:
                raise
            raise doubt from error
        return doubt
