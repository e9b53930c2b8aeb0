"""The parts of a control server, as REST and the console are given them."""

from __future__ import annotations

from msgspec import Struct

from quix.server.accounts import Accounts
from quix.server.fleet import Fleet
from quix.server.metrics import Metrics
from quix.server.programs import Programs
from quix.server.settings import ServerSettings
from quix.server.telemetry import Telemeter
from quix.server.vpn import Vpn
from quix.store import Store


class Control(Struct, frozen=True, kw_only=True):
    settings: ServerSettings
    store: Store
    fleet: Fleet
    accounts: Accounts
    programs: Programs
    telemetry: Telemeter
    vpn: Vpn
    metrics: Metrics
