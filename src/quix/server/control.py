"""The parts of a control server, as REST and the console are given them."""

from __future__ import annotations

from msgspec import Struct

from quix.server.accounts import Accounts
from quix.server.alerting.engine import Alerting
from quix.server.audit import Auditor
from quix.server.collector import Collector
from quix.server.events import Hub
from quix.server.fleet import Fleet
from quix.server.history import History
from quix.server.metrics import Metrics
from quix.server.outputs import Outputs
from quix.server.programs import Programs
from quix.server.settings import ServerSettings
from quix.server.telemetry import Telemeter
from quix.server.vpn import Vpn
from quix.store import Store


class Control(Struct, frozen=True, kw_only=True):
    settings: ServerSettings
    store: Store
    fleet: Fleet
    events: Hub
    accounts: Accounts
    audit: Auditor
    programs: Programs
    outputs: Outputs
    telemetry: Telemeter
    collector: Collector
    history: History
    vpn: Vpn
    alerts: Alerting
    metrics: Metrics
