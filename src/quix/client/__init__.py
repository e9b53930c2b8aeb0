"""The Python SDK: everything that REST can do, as typed methods. docs/sdk.md is its page.

from quix import Client

with Client.login("http://127.0.0.1:8480", "admin", password) as quix:
    for backend in quix.backends():
        print(backend.name, backend.connected)
    started = quix.execute("web-1", ["uptime"])

from quix import AsyncClient

async with await AsyncClient.login("http://127.0.0.1:8480", "admin", password) as quix:
    async for backend in quix.backends():
        print(backend.name, backend.connected)
    started = await quix.execute("web-1", ["uptime"])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from quix.client.alert_models import Alert, Channel, Rule, Silence
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
from quix.client.models import (
    AuditRow,
    Backend,
    Configuration,
    Enrolment,
    Event,
    Lease,
    Load,
    MadeEnrolment,
    Me,
    Recent,
    Run,
    Session,
    Started,
    TelemetryHistory,
    Token,
    Traffic,
    User,
)
from quix.exits import QuixError
from quix.wire.messages import Process, RunOutput, TeleData
from quix.wire.runs import RunLimits, RunOptions, Terminal

__all__ = [
    "Alert",
    "ApiError",
    "AsyncClient",
    "AuditRow",
    "Backend",
    "Channel",
    "Client",
    "Configuration",
    "DeniedError",
    "Enrolment",
    "Event",
    "FaultError",
    "Lease",
    "Load",
    "MadeEnrolment",
    "Me",
    "NoAnswerError",
    "NotQuixServerError",
    "OfflineError",
    "Process",
    "QuixError",
    "Recent",
    "RefusedError",
    "RequestInvalidError",
    "Rule",
    "Run",
    "RunLimits",
    "RunOptions",
    "RunOutput",
    "ServerUnreachableError",
    "Session",
    "Silence",
    "Started",
    "TeleData",
    "TelemetryHistory",
    "Terminal",
    "Token",
    "Traffic",
    "UnknownBackendError",
    "UnknownOutcomeError",
    "User",
]

if TYPE_CHECKING:
    from quix.client.aio.client import AsyncClient
else:

    def __getattr__(name: str) -> object:
        # Only now: commands use the other one, and start the quicker without asyncio.
        if name == "AsyncClient":
            return importlib.import_module("quix.client.aio.client").AsyncClient
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
