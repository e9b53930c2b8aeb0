"""The Python SDK: everything that REST can do, as typed methods.

from quix.client import Client

with Client.login("http://127.0.0.1:8480", "admin", password) as quix:
    for backend in quix.backends():
        print(backend.name, backend.connected)
    started = quix.execute("web-1", ["uptime"])
"""

from __future__ import annotations

from quix.client.client import Client
from quix.client.errors import (
    ApiError,
    DeniedError,
    FaultError,
    NoAnswerError,
    NotQuixServerError,
    OfflineError,
    RefusedError,
    RequestInvalidError,
    ServerUnreachableError,
    UnknownBackendError,
    UnknownOutcomeError,
)
from quix.client.models import Backend, Configuration, Lease, Me, Run, Started, User

__all__ = [
    "ApiError",
    "Backend",
    "Client",
    "Configuration",
    "DeniedError",
    "FaultError",
    "Lease",
    "Me",
    "NoAnswerError",
    "NotQuixServerError",
    "OfflineError",
    "RefusedError",
    "RequestInvalidError",
    "Run",
    "ServerUnreachableError",
    "Started",
    "UnknownBackendError",
    "UnknownOutcomeError",
    "User",
]
