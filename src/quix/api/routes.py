"""Every route under /api/v1, and which of them need a login."""

from __future__ import annotations

from typing import Final

from litestar import Router
from litestar.di import Provide

from quix.api import backends, login, processes, telemetry, users, vpn
from quix.api.access import find_backend
from quix.api.guards import SECURITY, authorize

PREFIX: Final = "/api/v1"

TAGS: Final = {
    login.TAG: "Logging in and out.",
    backends.TAG: "The machines that have enrolled.",
    processes.TAG: "Starting, listing and signalling programs on backends.",
    telemetry.TAG: "How a backend is.",
    vpn.TAG: "VPN leases and configurations.",
    users.TAG: "Who may log in or enrol.",
}


def routers() -> list[Router]:
    """Return the routes under /api/v1: those in front of the login, and those behind it."""
    one_backend = Router(
        "/backends/{backend_id:str}",
        route_handlers=[
            backends.get_backend,
            backends.remove_backend,
            processes.list_processes,
            processes.execute,
            processes.signal_process,
            processes.list_runs,
            processes.get_run,
            telemetry.measure,
            vpn.get_lease,
            vpn.configure,
            vpn.restore,
            vpn.revoke,
        ],
        dependencies={"backend": Provide(find_backend)},
    )
    behind_login = Router(
        PREFIX,
        route_handlers=[
            login.logout,
            login.me,
            backends.list_backends,
            one_backend,
            vpn.list_leases,
            users.list_users,
            users.add_user,
            users.change_user,
            users.remove_user,
        ],
        guards=[authorize],
        security=SECURITY,
    )
    return [Router(PREFIX, route_handlers=[login.login]), behind_login]
