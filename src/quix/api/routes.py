"""Every route under /api/v1, and which of them need a login."""

from __future__ import annotations

from typing import Any, Final, Self

from litestar import Router
from litestar.di import Provide

from quix.api import (
    alert_channels,
    alert_rules,
    alerts,
    audit,
    backends,
    credentials,
    enrolments,
    events,
    login,
    metrics,
    processes,
    runs,
    server,
    telemetry,
    users,
    vpn,
)
from quix.api.access import find_backend
from quix.api.guards import SECURITY, authorize
from quix.api.strict import refuse_loose

PREFIX: Final = "/api/v1"

TAGS: Final = {
    login.TAG: "Logging in and out.",
    backends.TAG: "The machines that have enrolled.",
    processes.TAG: "Starting, listing and signalling programs on backends.",
    telemetry.TAG: "How a backend is, and how it was.",
    vpn.TAG: "VPN leases and configurations.",
    credentials.TAG: "Logins and personal tokens.",
    users.TAG: "Who may log in or enrol.",
    alerts.TAG: "What is watched, what was raised, and who is told.",
    enrolments.TAG: "Keys that let a number of machines enrol, for a time.",
    events.TAG: "What happens, as it happens.",
    audit.TAG: "Who did what.",
    metrics.TAG: "The fleet in numbers, for Prometheus.",
    server.TAG: "The server itself.",
}


class Routes(Router):
    """Routes of one application. Litestar copies each handler once for every router around it, which would take longer
    than all else that a server does to open its door."""

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        return self


def routers() -> list[Routes]:
    """Return the routes under /api/v1: those in front of the login, and those behind it."""
    one_run = Routes(
        "/runs/{run_id:str}",
        route_handlers=[
            runs.get_run,
            runs.read_output,
            runs.follow_output,
            runs.write_input,
            runs.resize_terminal,
            runs.signal_run,
        ],
        dependencies={"run": Provide(runs.find_run)},
    )
    one_backend = Routes(
        "/backends/{backend_id:str}",
        route_handlers=[
            backends.get_backend,
            backends.change_backend,
            backends.revoke_backend,
            backends.remove_backend,
            processes.list_processes,
            processes.execute,
            processes.signal_process,
            runs.list_runs,
            one_run,
            telemetry.measure,
            telemetry.history,
            vpn.get_lease,
            vpn.configure,
            vpn.restore,
            vpn.revoke,
            vpn.change_tunnel,
        ],
        dependencies={"backend": Provide(find_backend)},
    )
    whole_audit = Routes(
        "/audit",
        route_handlers=[audit.list_audit, audit.export_audit],
        dependencies={"wanted": Provide(audit.find_wanted)},
    )
    behind_login = Routes(
        PREFIX,
        route_handlers=[
            login.logout,
            login.me,
            server.get_server,
            backends.list_backends,
            backends.add_backend,
            one_backend,
            vpn.list_leases,
            vpn.list_peers,
            users.list_users,
            users.add_user,
            users.change_user,
            users.remove_user,
            enrolments.list_enrolments,
            enrolments.add_enrolment,
            enrolments.end_enrolment,
            credentials.list_tokens,
            credentials.add_token,
            credentials.remove_token,
            credentials.list_sessions,
            credentials.end_session,
            credentials.change_my_password,
            alerts.list_alerts,
            alerts.list_silences,
            alerts.add_silence,
            alerts.remove_silence,
            alert_rules.list_rules,
            alert_rules.add_rule,
            alert_rules.get_rule,
            alert_rules.change_rule,
            alert_rules.remove_rule,
            alert_channels.list_channels,
            alert_channels.add_channel,
            alert_channels.change_channel,
            alert_channels.remove_channel,
            alert_channels.test_channel,
            events.follow_events,
            metrics.scrape_backends,
            whole_audit,
        ],
        guards=[authorize],
        before_request=refuse_loose,
        security=SECURITY,
    )
    return [Routes(PREFIX, route_handlers=[login.login, login.login_browser]), behind_login]
