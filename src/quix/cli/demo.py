"""`quix demo`: a server and one agent in a temporary folder, to see what Quix does."""

from __future__ import annotations

import contextlib
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from quix.cli.serve import run_server

if TYPE_CHECKING:
    from quix.server.control import Control
    from quix.server.settings import ServerSettings

_STOP_TIMEOUT: Final = 10.0


def demo(
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the agent dials in.")] = "127.0.0.1:8470",
    http: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where REST requests arrive.")] = "127.0.0.1:8480",
) -> None:
    """Run a server and one agent of this machine in a temporary folder, and print how to log in.

    The folder, and every program that was started, is gone afterwards.
    """
    import asyncio  # here, so that `quix --help` does without

    from quix import logs
    from quix.server.settings import ServerSettings, VpnSettings, WireGuardSettings

    with tempfile.TemporaryDirectory(prefix="quix-demo-") as name:
        folder = Path(name)
        # Programs run as another user, who has to find the way to the agent's data folder.
        folder.chmod(0o711)
        settings = ServerSettings(
            data_dir=folder / "server",
            listen=listen,
            http=http,
            vpn=VpnSettings(wireguard=WireGuardSettings(enabled=True, endpoint=f"{_host(listen)}:51820")),
        )
        logs.setup(settings.log_format, "warning")
        password = asyncio.run(_add_users(settings, folder))
        with contextlib.ExitStack() as stack:

            def ready(_control: Control) -> None:
                stack.enter_context(_agent(folder, listen))
                _greet(settings, password)

            run_server(settings, ready)
        asyncio.run(end_programs(folder / "agent"))


async def _add_users(settings: ServerSettings, folder: Path) -> str:
    """Make the login for the person who watches, and the one the agent enrols with; return the former's password."""
    from quix.files import write_private
    from quix.server.accounts import Accounts
    from quix.server.throttle import Throttle
    from quix.store import Store
    from quix.store.users import Role

    settings.data_dir.mkdir(mode=0o700)
    store = await Store.open(settings.database_url)
    accounts = Accounts(store, Throttle(), settings.login_validity)
    password, enrolment = secrets.token_urlsafe(12), secrets.token_urlsafe(24)
    try:
        await accounts.add_user("admin", Role.ADMIN, password)
        await accounts.add_user("enroller", Role.ENROLLER, enrolment)
    finally:
        accounts.close()
        await store.close()
    write_private(folder / "enrolment-password", enrolment.encode())
    return password


@contextlib.contextmanager
def _agent(folder: Path, listen: str) -> Iterator[None]:
    """A real agent in a process of its own."""
    command = [sys.executable, "-m", "quix", "agent", "--server", f"ws://{listen}/wsi", "--username", "enroller"]
    command += ["--password-file", str(folder / "enrolment-password"), "--data-dir", str(folder / "agent")]
    command += ["--name", "demo", "--log-level", "warning"]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_STOP_TIMEOUT)


async def end_programs(data_dir: Path) -> None:
    from quix.supervisor.client import SupervisorClient
    from quix.supervisor.settings import SupervisorSettings

    supervisor = await SupervisorClient.start_or_find(SupervisorSettings(data_dir=data_dir))
    await supervisor.end()
    await supervisor.close()


def _greet(settings: ServerSettings, password: str) -> None:
    command = sys.argv[0]
    sys.stdout.write(
        f"""
Quix is running: a control server and one agent, "demo".

  console   http://{settings.http}/
  REST      http://{settings.http}/api/v1/openapi.json
  agents    ws://{settings.listen}/wsi
  login     admin
  password  {password}      (made for this demo, gone with it)

In another terminal:

  {command} login http://{settings.http} --username admin
  {command} ls
  {command} run demo -- uname -a
  {command} run -d demo -- sleep 60
  {command} ps demo
  {command} telemetry demo

Ctrl-C ends it.
"""
    )
    sys.stdout.flush()


def _host(address: str) -> str:
    return address.rpartition(":")[0] or "localhost"
