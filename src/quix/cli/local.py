"""The store of a server on this machine, the server running or not."""

from __future__ import annotations

import contextlib
import getpass
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from quix.exits import Exit, QuixError

if TYPE_CHECKING:
    from quix.server.accounts import Accounts
    from quix.server.settings import ServerSettings
    from quix.store import Store
    from quix.store.actions import Action
    from quix.store.audit import Entry

T = TypeVar("T")

DataDir = Annotated[Path | None, typer.Option(help="The server's data folder; or QUIX_DATA_DIR.")]


def settings(data_dir: Path | None) -> ServerSettings:
    """Return the settings of the server whose folder this is."""
    from quix import config
    from quix.server.settings import ServerSettings

    if data_dir is None and not os.environ.get("QUIX_DATA_DIR"):
        raise QuixError("data_dir: --data-dir DIR or QUIX_DATA_DIR says where the server keeps everything", Exit.CONFIG)
    return config.load(ServerSettings, {"data_dir": data_dir}, os.environ)


def existing(data_dir: Path | None) -> ServerSettings:
    """As `settings`, for a folder that has to be there: a misspelt one must not become an empty store."""
    found = settings(data_dir)
    if not found.data_dir.is_dir():
        raise QuixError(f"data_dir: there is no folder {found.data_dir}", Exit.CONFIG)
    return found


def with_accounts(chosen: ServerSettings, work: Callable[[Accounts, Store], Awaitable[T]]) -> T:
    import asyncio

    from quix import logs

    async def run() -> T:
        async with _opened(chosen) as (accounts, store):
            return await work(accounts, store)

    logs.setup(chosen.log_format, chosen.log_level)
    return asyncio.run(run())


@contextlib.asynccontextmanager
async def _opened(chosen: ServerSettings) -> AsyncIterator[tuple[Accounts, Store]]:
    from quix.server.accounts import Accounts
    from quix.server.throttle import Throttle
    from quix.store import Store

    store = await Store.open(chosen.database_url)
    accounts = Accounts(store, Throttle(), chosen.login_validity)
    try:
        yield accounts, store
    finally:
        accounts.close()
        await store.close()


def entry(action: Action, target: str = "", **detail: str) -> Entry:
    """Return the row of the audit for what is done here, by no user of Quix but one of this machine."""
    from quix.store.audit import Entry

    return Entry(action=action, address="local", target=target, detail={**detail, "os_user": _os_user()})


def _os_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name
        return str(os.getuid())
