"""`quix token`, `quix session`, `quix passwd`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from quix import units
from quix.cli import render, session
from quix.cli.backends import pairs
from quix.cli.login import ask_password, read_password
from quix.cli.output import Json, done, emit, say
from quix.exits import Exit, QuixError

tokens = typer.Typer(help="Personal tokens, for scripts.", no_args_is_help=True)
sessions = typer.Typer(help="Logins.", no_args_is_help=True)

OfUser = Annotated[str, typer.Option("--user", metavar="NAME", help="Those of this user; for admins.")]


@tokens.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called in the list.")],
    role: Annotated[str, typer.Option(help="viewer, operator or admin; at most your own.")] = "viewer",
    labels: Annotated[
        list[str] | None,
        typer.Option("-l", "--label", metavar="NAME=VALUE", help="Only backends with this label; repeatable."),
    ] = None,
    backends: Annotated[
        list[str] | None, typer.Option("-b", "--backend", metavar="BACKEND", help="Only this one; repeatable.")
    ] = None,
    expires: Annotated[str, typer.Option(metavar="TIME", help="How long it lives: 90m, 24h, 30d, 1y.")] = "30d",
    json: Json = False,
) -> None:
    """Make a personal token and print it, this once: QUIX_URL and QUIX_TOKEN are what commands take it from."""
    try:
        validity = int(units.seconds(expires))
    except ValueError as error:
        raise QuixError(f"expires: {error}", Exit.DATA) from None
    with session.client() as client:
        made = client.add_token(name, role, labels=pairs(labels or []), backends=backends, validity=validity)
    emit(made, json, made.token)
    if not json:
        say(f"token {made.id}; it is shown this once")


@tokens.command("ls")
def ls(user: OfUser = "", json: Json = False) -> None:
    """List the personal tokens."""
    with session.client() as client:
        found = [*client.tokens(user)]
    emit(found, json, render.tokens(found, time.time()))


@tokens.command("rm")
def rm(token: Annotated[str, typer.Argument(metavar="ID", help="See `quix token ls`.")], json: Json = False) -> None:
    """End a personal token."""
    with session.client() as client:
        client.remove_token(token)
    done(json)


@sessions.command("ls")
def list_sessions(user: OfUser = "", json: Json = False) -> None:
    """List the logins."""
    with session.client() as client:
        found = [*client.sessions(user)]
    emit(found, json, render.sessions(found, time.time()))


@sessions.command("rm")
def end_session(
    login: Annotated[str, typer.Argument(metavar="ID", help="See `quix session ls`.")], json: Json = False
) -> None:
    """End a login."""
    with session.client() as client:
        client.end_session(login)
    done(json)


def passwd(
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the old password, then the new one, from stdin: a line each.")
    ] = False,
    json: Json = False,
) -> None:
    """Change your own password; your other logins end."""
    with session.client() as client:
        old = ask_password(password_stdin, "The password of now: ")
        client.change_password(old, read_password(password_stdin, confirm=True))
    done(json)
