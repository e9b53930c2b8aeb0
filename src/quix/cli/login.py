"""`quix login`, `quix logout`, `quix whoami`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from quix.cli import session
from quix.cli.output import Json, emit


def read_password(from_stdin: bool, *, confirm: bool = False) -> str:
    """Return a password from standard input, or ask for it without showing it."""
    if from_stdin or not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    answer: str = typer.prompt("Password", hide_input=True, confirmation_prompt=confirm, err=True)
    return answer


def log_in(
    url: Annotated[str, typer.Argument(help="http(s)://HOST:PORT of the operators' door.")],
    username: Annotated[str, typer.Option(help="Who you are.")],
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin.")] = False,
    ca: Annotated[str, typer.Option(metavar="FILE", help="Authorities to trust instead of the system's, PEM.")] = "",
    allow_plaintext: Annotated[
        bool, typer.Option("--allow-plaintext", help="Send secrets over plain http to other machines too.")
    ] = False,
) -> None:
    """Log in to a control server, and keep the token for the commands that follow."""
    from quix.client import Client

    password = read_password(password_stdin)
    with Client.login(url, username, password, ca=ca, allow_plaintext=allow_plaintext) as client:
        kept = session.Credentials(url=client.url, token=client.token, ca=ca, allow_plaintext=allow_plaintext)
        session.save(kept)
        typer.echo(f"logged in to {client.url} as {username}", err=True)


def log_out() -> None:
    """End the login and forget its token."""
    from quix.client import DeniedError

    with session.client() as client:
        try:
            client.logout()
        except DeniedError:
            typer.echo("the login had ended before", err=True)
    session.forget()


def whoami(json: Json = False) -> None:
    """Show who is logged in, and where."""
    with session.client() as client:
        me = client.me()
        emit({"url": client.url, "username": me.username, "role": me.role}, json, f"{me.username} ({me.role})")
