"""The control server put together, and run until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from picows import WSListener

from quix import files, logs
from quix.link import tls
from quix.link.clock import Clock
from quix.link.connection import Connection
from quix.link.listener import listen
from quix.link.router import Router
from quix.link.side import Side
from quix.server import certificate
from quix.server.accounts import Accounts
from quix.server.alerting.engine import Alerting
from quix.server.audit import Auditor
from quix.server.caller import Caller
from quix.server.certificate import tls_files
from quix.server.collector import Collector, retention
from quix.server.control import Control
from quix.server.enrolments import KeyChecker
from quix.server.events import Hub, Kind
from quix.server.fleet import Fleet
from quix.server.gate import Gate
from quix.server.history import History
from quix.server.housekeeping import keep_house
from quix.server.installer import Installer
from quix.server.metrics import Metrics
from quix.server.outputs import Outputs
from quix.server.poller import Poller
from quix.server.presence import Presence
from quix.server.programs import Programs
from quix.server.session import Session
from quix.server.settings import ServerSettings
from quix.server.telemetry import Telemeter
from quix.server.throttle import Throttle
from quix.server.vpn import Vpn
from quix.store import Store
from quix.store.actions import Action
from quix.store.users import Role
from quix.wire.messages import GetVpnConf, GetVpnConfByKey, PushSamples, RunStates, VpnConf
from quix.wire.peer import Limits
from quix.wire.reasons import CloseCode

log = logs.get(__name__)

_DRAIN: Final = 3.0
"""Seconds that backends may still take to answer when the server stops."""

_SETTLE: Final = 5.0
"""Seconds that requests of agents may still take when the server stops."""

Operators = Callable[[Control], "contextlib.AbstractAsyncContextManager[Any]"]
"""Opens the operators' door for a server; above this layer, so it is handed in (see `quix.cli.serve`)."""


@contextlib.asynccontextmanager
async def running(settings: ServerSettings) -> AsyncIterator[Control]:
    """Run the agents' side of a control server for as long as the block lasts; then drain it.

    Raises:
        QuixError: the settings cannot be used, or another server uses the data folder.
    """
    _raise_file_limit()
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with files.locked(settings.data_dir / "server.lock", "another quix server uses this data folder"):
        store = await Store.open(settings.database_url)
        throttle = Throttle()
        accounts = Accounts(store, throttle, settings.login_validity)
        try:
            async with _serving(settings, store, accounts, KeyChecker(store, throttle)) as control:
                yield control
        finally:
            accounts.close()
            await store.close()


@contextlib.asynccontextmanager
async def _serving(
    settings: ServerSettings, store: Store, accounts: Accounts, keys: KeyChecker
) -> AsyncIterator[Control]:
    metrics = Metrics()
    fleet = Fleet(metrics, settings.ask_timeout)
    presence = Presence(store)
    auditor = Auditor(store)
    hub = Hub()
    programs = Programs(fleet, store, hub, settings.ask_timeout)
    collector = Collector(store, settings.telemetry)
    metrics.samples_waiting.set_function(lambda: collector.waiting)
    control = Control(
        settings=settings,
        store=store,
        fleet=fleet,
        events=hub,
        accounts=accounts,
        audit=auditor,
        programs=programs,
        outputs=Outputs(
            fleet, programs, store, ask_timeout=settings.ask_timeout, max_in_progress=settings.max_in_progress
        ),
        telemetry=Telemeter(fleet),
        collector=collector,
        history=History(store, collector, settings.telemetry),
        vpn=Vpn(settings.vpn, store, settings.data_dir, fleet),
        alerts=Alerting(store, fleet, collector, hub, metrics, settings),
        metrics=metrics,
    )
    gate = Gate(
        store,
        accounts,
        keys,
        fleet,
        presence,
        auditor,
        hub,
        metrics,
        auth_timeout=settings.auth_timeout,
        token_validity=settings.token_validity,
    )
    await collector.begin()
    await control.alerts.begin()
    kept = retention(settings.telemetry)
    house = keep_house(
        store, programs, kept, settings.runs_keep, settings.audit.keep_seconds, settings.alerts.keep_seconds
    )
    async with _background(presence.run()), _background(auditor.run()), _background(house):
        async with (
            control.vpn.running(),
            _background(collector.run()),
            _listening(settings, gate, _router(control, gate), metrics),
            _background(Poller(fleet, collector, settings.telemetry.interval).run()),
            _background(control.alerts.run()),
        ):
            yield control
        await presence.flush()
        await collector.flush()
    await auditor.flush()


def _router(control: Control, gate: Gate) -> Router[Session]:
    async def vpn_conf(session: Session, request: GetVpnConf | GetVpnConfByKey) -> VpnConf:
        # The backend itself asks, and no user.
        itself = Caller(name="", role=Role.ENROLLER, address=session.address)
        with control.audit.act(itself, Action.VPN_CONF, session.backend_id, conf_type=request.conf_type):
            made = await control.vpn.configuration(session.backend_id, request)
        control.events.publish(Kind.LEASE_CHANGED, session.backend_id, conf_type=made.conf_type, change="configured")
        return made

    router: Router[Session] = Router()
    gate.register(router)
    router.add(GetVpnConf, vpn_conf)
    router.add(GetVpnConfByKey, vpn_conf)
    router.add(RunStates, control.programs.told)
    router.add(PushSamples, control.collector.push)
    return router


@contextlib.asynccontextmanager
async def _listening(
    settings: ServerSettings, gate: Gate, router: Router[Session], metrics: Metrics
) -> AsyncIterator[None]:
    limits = Limits(message_bytes=settings.max_message, in_progress=settings.max_in_progress)
    clock = Clock()
    side = Side(router, clock, limits, metrics.outcomes)

    def connection(may_extend: bool) -> WSListener:
        return Connection(Session(gate, may_extend), side)

    context = _tls(settings)
    installer = Installer(settings)
    server = await listen(settings.listen, connection, settings.max_message, context, installer.answer)
    clock.start()
    log.info("listening for agents", address=settings.listen, tls=bool(tls_files(settings)))
    try:
        yield
    finally:
        server.close()
        # Those who are not authenticated yet are sent away too; agents come back spread over their back-off.
        for each in clock.connections:
            each.close(CloseCode.TRY_AGAIN_LATER, "the server is going down")
        clock.stop()
        await router.settle(_SETTLE)


@contextlib.asynccontextmanager
async def _background(work: Awaitable[None]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    task.add_done_callback(_tell_fault)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _tell_fault(task: asyncio.Future[None]) -> None:
    """What runs beside the server must not end; where it does all the same, the log says why."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("something that runs beside the server has failed", exc_info=error)


def _tls(settings: ServerSettings) -> ssl.SSLContext | None:
    pair = tls_files(settings)
    if pair is None:
        return None
    context = tls.server_context(*pair)
    if settings.tls_self_signed:
        log.info("agents pin this certificate", tls_fingerprint=certificate.fingerprint_of(pair[0]))
    return context


async def serve(settings: ServerSettings, operators: Operators, ready: Callable[[Control], None]) -> None:
    """Run a whole server until SIGTERM or SIGINT; `ready` is called once both doors are open."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    settle_memory()
    async with running(settings) as control, operators(control):
        log.info("ready", http=settings.http, listen=settings.listen)
        ready(control)
        await stop.wait()
        log.info("draining", backends=len(control.fleet))
        await control.fleet.drain(_DRAIN)


def settle_memory() -> None:
    """Spare the garbage collector what was imported, and have it look less often.

    A request leaves no cycles behind, but each costs allocations, and by default every 700 of them the
    collector looks at young objects and every 70,000 at all: a fifth of the server's time with a large fleet.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _raise_file_limit() -> None:
    """A socket a backend: take all the descriptors that the machine allows this process."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
