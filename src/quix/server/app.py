"""The control server put together, and run until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
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
from quix.server.control import Control
from quix.server.fleet import Fleet
from quix.server.gate import Gate
from quix.server.housekeeping import keep_house
from quix.server.metrics import Metrics
from quix.server.presence import Presence
from quix.server.programs import Programs
from quix.server.session import Session
from quix.server.settings import ServerSettings
from quix.server.telemetry import Telemeter
from quix.server.throttle import Throttle
from quix.server.vpn import Vpn
from quix.store import Store
from quix.wire.messages import GetVpnConf, VpnConf
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
        accounts = Accounts(store, Throttle(), settings.login_validity)
        try:
            async with _serving(settings, store, accounts) as control:
                yield control
        finally:
            accounts.close()
            await store.close()


@contextlib.asynccontextmanager
async def _serving(settings: ServerSettings, store: Store, accounts: Accounts) -> AsyncIterator[Control]:
    metrics = Metrics()
    fleet = Fleet(metrics, settings.ask_timeout)
    presence = Presence(store)
    control = Control(
        settings=settings,
        store=store,
        fleet=fleet,
        accounts=accounts,
        programs=Programs(fleet, store),
        telemetry=Telemeter(fleet),
        vpn=Vpn(settings.vpn, store, settings.data_dir),
        metrics=metrics,
    )
    gate = Gate(
        store,
        accounts,
        fleet,
        presence,
        metrics,
        auth_timeout=settings.auth_timeout,
        token_validity=settings.token_validity,
    )
    async with _background(presence.run()), _background(keep_house(store)):
        async with _listening(settings, gate, _router(control, gate), metrics):
            yield control
        await presence.flush()


def _router(control: Control, gate: Gate) -> Router[Session]:
    async def vpn_conf(session: Session, request: GetVpnConf) -> VpnConf:
        return await control.vpn.configuration(session.backend_id, request)

    router: Router[Session] = Router()
    gate.register(router)
    router.add(GetVpnConf, vpn_conf)
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

    server = await listen(settings.listen, connection, settings.max_message, _tls(settings))
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
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def tls_files(settings: ServerSettings) -> tuple[Path, Path] | None:
    """Return the certificate and key the server shows, or None where it speaks plain text."""
    if settings.tls_cert is not None and settings.tls_key is not None:
        return settings.tls_cert, settings.tls_key
    if settings.tls_self_signed:
        return certificate.self_signed(settings.data_dir / "tls")
    return None


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
