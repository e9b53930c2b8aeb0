"""`quix user`: on the store itself, the server running or not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from quix import config, logs
from quix.cli import render
from quix.cli.login import read_password
from quix.cli.output import Json, emit
from quix.exits import Exit, QuixError

if TYPE_CHECKING:
    from quix.server.accounts import Accounts
    from quix.store import Store
    from quix.store.users import Role

T = TypeVar("T")

app = typer.Typer(help="Users of a control server; run on its machine.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="1 to 64 letters, digits, dots, underscores or hyphens.")]
DataDir = Annotated[Path | None, typer.Option(help="The server's data folder; or QUIX_DATA_DIR.")]
RoleName = Annotated[str, typer.Option(help="admin, operator, viewer or enroller.")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin.")]


@app.command("add")
def add(name: Name, role: RoleName, data_dir: DataDir = None, password_stdin: FromStdin = False) -> None:
    """Add a user."""
    chosen = _role(role)
    password = read_password(password_stdin, confirm=True)
    _with_accounts(data_dir, lambda accounts, _store: accounts.add_user(name, chosen, password))


@app.command("passwd")
def passwd(name: Name, data_dir: DataDir = None, password_stdin: FromStdin = False) -> None:
    """Give a user another password; the user's logins end."""
    password = read_password(password_stdin, confirm=True)
    _must_exist(name, _with_accounts(data_dir, lambda accounts, _store: accounts.set_password(name, password)))


@app.command("role")
def set_role(name: Name, role: Annotated[str, typer.Argument(metavar="ROLE")], data_dir: DataDir = None) -> None:
    """Give a user another role."""
    chosen = _role(role)
    _must_exist(name, _with_accounts(data_dir, lambda _accounts, store: store.users.set_role(name, chosen)))


@app.command("rm")
def rm(name: Name, data_dir: DataDir = None) -> None:
    """Remove a user; backends that the user enrolled stay."""
    _must_exist(name, _with_accounts(data_dir, lambda _accounts, store: store.users.remove(name)))


@app.command("ls")
def ls(data_dir: DataDir = None, json: Json = False) -> None:
    """List the users."""
    found = _with_accounts(data_dir, lambda _accounts, store: store.users.page(None, 10_000))
    emit(found, json, render.users([(user.name, user.role, user.created_at) for user in found], time.time()))


def _role(name: str) -> Role:
    from quix.store.users import Role

    try:
        return Role(name)
    except ValueError:
        raise QuixError(f"role: {name!r} is none of {', '.join(Role)}", Exit.DATA) from None


def _must_exist(name: str, found: bool) -> None:
    if not found:
        raise QuixError(f"name: there is no user {name!r}", Exit.DATA)


def _with_accounts(data_dir: Path | None, work: Callable[[Accounts, Store], Awaitable[T]]) -> T:
    async def run() -> T:
        async with _opened(data_dir) as (accounts, store):
            return await work(accounts, store)

    return asyncio.run(run())


@contextlib.asynccontextmanager
async def _opened(data_dir: Path | None) -> AsyncIterator[tuple[Accounts, Store]]:
    from quix.server.accounts import Accounts
    from quix.server.settings import ServerSettings
    from quix.server.throttle import Throttle
    from quix.store import Store

    settings = config.load(ServerSettings, {"data_dir": data_dir}, os.environ)
    logs.setup(settings.log_format, settings.log_level)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = await Store.open(settings.database_url)
    accounts = Accounts(store, Throttle(), settings.login_validity)
    try:
        yield accounts, store
    finally:
        accounts.close()
        await store.close()
