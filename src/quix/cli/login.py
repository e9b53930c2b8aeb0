"""`quix login`, `quix logout`, `quix whoami`."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from quix.cli import session
from quix.cli.output import Json, done, emit, say
from quix.exits import Exit, QuixError


def read_password(from_stdin: bool, *, confirm: bool = False) -> str:
    """Return a password: the first line of standard input, or what a person types, which is not shown.

    Raises:
        QuixError: there is none.
    """
    password = ask_password(from_stdin, "Password: ")
    if confirm and not from_stdin and sys.stdin.isatty() and getpass.getpass("The same again: ") != password:
        raise QuixError("password: the two are not the same", Exit.DATA)
    return password


def ask_password(from_stdin: bool, prompt: str) -> str:
    """Return a password: the next line of standard input, or what a person types at a prompt.

    Raises:
        QuixError: there is none.
    """
    if not from_stdin and sys.stdin.isatty():
        return getpass.getpass(prompt)
    try:
        password = sys.stdin.readline().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise QuixError("password: it is not UTF-8", Exit.DATA) from error
    if not password:
        raise QuixError("password: there is none on stdin", Exit.DATA)
    return password


def log_in(
    url: Annotated[str, typer.Argument(help="http(s)://HOST:PORT of the operators' door.")],
    username: Annotated[str, typer.Option(help="Who you are.")],
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin.")] = False,
    ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Authorities to trust instead of the system's, PEM.")
    ] = None,
    allow_plaintext: Annotated[
        bool, typer.Option("--allow-plaintext", help="Send secrets over plain http to other machines too.")
    ] = False,
    json: Json = False,
) -> None:
    """Log in to a control server, and keep the token for the commands that follow."""
    from quix.client import Client

    # Absolute, since the commands that follow may be given in another folder.
    trusted = str(ca.absolute()) if ca else ""
    # Before the password is asked for, let alone sent.
    Client(url, ca=trusted, allow_plaintext=allow_plaintext).close()
    password = read_password(password_stdin)
    with Client.login(url, username, password, ca=trusted, allow_plaintext=allow_plaintext) as client:
        session.save(
            session.Credentials(url=client.url, token=client.token, ca=trusted, allow_plaintext=allow_plaintext)
        )
        say(f"logged in to {client.url} as {username}")
    done(json)


def log_out(json: Json = False) -> None:
    """End the login and forget its token."""
    from quix.client import DeniedError

    with session.client() as client:
        try:
            client.logout()
        except DeniedError:
            say("the login had ended before")
    session.forget()
    done(json)


def whoami(json: Json = False) -> None:
    """Show who is logged in, and where."""
    with session.client() as client:
        me = client.me()
        emit({"url": client.url, "username": me.username, "role": me.role}, json, f"{me.username} ({me.role})")
