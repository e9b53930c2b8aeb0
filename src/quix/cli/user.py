"""`quix user`: on the store itself, the server running or not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from quix.cli import render
from quix.cli.backends import pairs
from quix.cli.local import DataDir, entry, existing, settings, with_accounts
from quix.cli.login import read_password
from quix.cli.output import Json, done, emit
from quix.exits import Exit, QuixError

if TYPE_CHECKING:
    from quix.store import Store
    from quix.store.users import Role, User

_PAGE: Final = 500

app = typer.Typer(help="Users of a control server; run on its machine.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="1 to 64 letters, digits, dots, underscores or hyphens.")]
RoleName = Annotated[str, typer.Option(help="admin, operator, viewer or enroller.")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin.")]


@app.command("add")
def add(
    name: Name,
    role: RoleName,
    labels: Annotated[
        list[str] | None,
        typer.Option("-l", "--label", metavar="NAME=VALUE", help="Sees only backends with this label; repeatable."),
    ] = None,
    data_dir: DataDir = None,
    password_stdin: FromStdin = False,
    json: Json = False,
) -> None:
    """Add a user; the first one may come before the server has ever run."""
    chosen = _role(role)
    from quix.store.actions import Action

    seen = pairs(labels or [])
    server = settings(data_dir)
    password = read_password(password_stdin, confirm=True)
    server.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    row = entry(Action.USER_ADDED, name, role=role)
    with_accounts(server, lambda accounts, _store: accounts.add_user(name, chosen, password, row, seen))
    done(json)


@app.command("passwd")
def passwd(name: Name, data_dir: DataDir = None, password_stdin: FromStdin = False, json: Json = False) -> None:
    """Give a user another password; the user's logins end."""
    from quix.store.actions import Action

    server = existing(data_dir)
    password = read_password(password_stdin, confirm=True)
    row = entry(Action.PASSWORD_CHANGED, name)
    _must_exist(name, with_accounts(server, lambda accounts, _store: accounts.set_password(name, password, row)))
    done(json)


@app.command("role")
def set_role(
    name: Name, role: Annotated[str, typer.Argument(metavar="ROLE")], data_dir: DataDir = None, json: Json = False
) -> None:
    """Give a user another role."""
    from quix.store.actions import Action

    chosen = _role(role)
    row = entry(Action.USER_CHANGED, name, role=role)
    found = with_accounts(existing(data_dir), lambda _accounts, store: store.users.set_role(name, chosen, row))
    _must_exist(name, found)
    done(json)


@app.command("label")
def set_labels(
    name: Name,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE", help="All that a backend must have; none: sees all.")
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Limit a user to backends that have all of these labels; with none, the user sees all again."""
    from quix.store.actions import Action

    seen = pairs(words or [])
    row = entry(Action.USER_CHANGED, name, labels=" ".join(words or []) or "none")
    found = with_accounts(existing(data_dir), lambda _accounts, store: store.users.set_labels(name, seen, row))
    _must_exist(name, found)
    done(json)


@app.command("rm")
def rm(name: Name, data_dir: DataDir = None, json: Json = False) -> None:
    """Remove a user; backends that the user enrolled stay."""
    from quix.store.actions import Action

    row = entry(Action.USER_REMOVED, name)
    _must_exist(name, with_accounts(existing(data_dir), lambda _accounts, store: store.users.remove(name, row)))
    done(json)


@app.command("ls")
def ls(data_dir: DataDir = None, json: Json = False) -> None:
    """List the users."""
    found = with_accounts(existing(data_dir), lambda _accounts, store: _every_user(store))
    emit(
        found, json, render.users([(user.name, user.role, user.created_at, user.labels) for user in found], time.time())
    )


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
