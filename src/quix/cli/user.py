"""`quix user`: on the store itself, the server running or not."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from quix.cli import render
from quix.cli.login import read_password
from quix.cli.output import Json, done, emit
from quix.exits import Exit, QuixError

if TYPE_CHECKING:
    from quix.server.accounts import Accounts
    from quix.server.settings import ServerSettings
    from quix.store import Store
    from quix.store.users import Role, User

T = TypeVar("T")

_PAGE: Final = 500

app = typer.Typer(help="Users of a control server; run on its machine.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="1 to 64 letters, digits, dots, underscores or hyphens.")]
DataDir = Annotated[Path | None, typer.Option(help="The server's data folder; or QUIX_DATA_DIR.")]
RoleName = Annotated[str, typer.Option(help="admin, operator, viewer or enroller.")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin.")]


@app.command("add")
def add(
    name: Name, role: RoleName, data_dir: DataDir = None, password_stdin: FromStdin = False, json: Json = False
) -> None:
    """Add a user; the first one may come before the server has ever run."""
    chosen = _role(role)
    settings = _settings(data_dir)
    password = read_password(password_stdin, confirm=True)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    _with_accounts(settings, lambda accounts, _store: accounts.add_user(name, chosen, password))
    done(json)


@app.command("passwd")
def passwd(name: Name, data_dir: DataDir = None, password_stdin: FromStdin = False, json: Json = False) -> None:
    """Give a user another password; the user's logins end."""
    settings = _existing(data_dir)
    password = read_password(password_stdin, confirm=True)
    _must_exist(name, _with_accounts(settings, lambda accounts, _store: accounts.set_password(name, password)))
    done(json)


@app.command("role")
def set_role(
    name: Name, role: Annotated[str, typer.Argument(metavar="ROLE")], data_dir: DataDir = None, json: Json = False
) -> None:
    """Give a user another role."""
    chosen = _role(role)
    found = _with_accounts(_existing(data_dir), lambda _accounts, store: store.users.set_role(name, chosen))
    _must_exist(name, found)
    done(json)


@app.command("rm")
def rm(name: Name, data_dir: DataDir = None, json: Json = False) -> None:
    """Remove a user; backends that the user enrolled stay."""
    _must_exist(name, _with_accounts(_existing(data_dir), lambda _accounts, store: store.users.remove(name)))
    done(json)


@app.command("ls")
def ls(data_dir: DataDir = None, json: Json = False) -> None:
    """List the users."""
    found = _with_accounts(_existing(data_dir), lambda _accounts, store: _every_user(store))
    emit(found, json, render.users([(user.name, user.role, user.created_at) for user in found], time.time()))


async def _every_user(store: Store) -> list[User]:
    found = await store.users.page(None, _PAGE)
    page = found
    while len(page) == _PAGE:
        page = await store.users.page(page[-1].name, _PAGE)
        found = found + page
    return found


def _role(name: str) -> Role:
    from quix.store.users import Role

    try:
        return Role(name)
    except ValueError:
        raise QuixError(f"role: {name!r} is none of {', '.join(Role)}", Exit.DATA) from None


def _must_exist(name: str, found: bool) -> None:
    if not found:
        raise QuixError(f"name: there is no user {name!r}", Exit.DATA)


# -- the store ----------------------------------------------------------------------------------


def _settings(data_dir: Path | None) -> ServerSettings:
    """Return the settings of the server whose folder this is."""
    from quix import config
    from quix.server.settings import ServerSettings

    if data_dir is None and not os.environ.get("QUIX_DATA_DIR"):
        raise QuixError("data_dir: --data-dir DIR or QUIX_DATA_DIR says where the server keeps everything", Exit.CONFIG)
    return config.load(ServerSettings, {"data_dir": data_dir}, os.environ)


def _existing(data_dir: Path | None) -> ServerSettings:
    """As `_settings`, for a folder that has to be there: a misspelt one must not become an empty store."""
    settings = _settings(data_dir)
    if not settings.data_dir.is_dir():
        raise QuixError(f"data_dir: there is no folder {settings.data_dir}", Exit.CONFIG)
    return settings


def _with_accounts(settings: ServerSettings, work: Callable[[Accounts, Store], Awaitable[T]]) -> T:
    import asyncio

    from quix import logs

    async def run() -> T:
        async with _opened(settings) as (accounts, store):
            return await work(accounts, store)

    logs.setup(settings.log_format, settings.log_level)
    return asyncio.run(run())


@contextlib.asynccontextmanager
async def _opened(settings: ServerSettings) -> AsyncIterator[tuple[Accounts, Store]]:
    from quix.server.accounts import Accounts
    from quix.server.throttle import Throttle
    from quix.store import Store

    store = await Store.open(settings.database_url)
    accounts = Accounts(store, Throttle(), settings.login_validity)
    try:
        yield accounts, store
    finally:
        accounts.close()
        await store.close()
