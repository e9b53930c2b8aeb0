"""`quix enroll-command` and `quix enrolment`."""

from __future__ import annotations

import re
import time
from typing import Annotated
from urllib.parse import urlsplit

import typer

from quix import units
from quix.cli import render, session
from quix.cli.backends import pairs
from quix.cli.output import Json, done, emit, say
from quix.exits import Exit, QuixError
from quix.hosts import is_loopback

app = typer.Typer(help="Enrolment keys; `quix enroll-command` makes them.", no_args_is_help=True)


def enroll_command(
    expires: Annotated[str, typer.Option(metavar="TIME", help="How long the line works: 30m, 1h, 7d.")] = "1h",
    uses: Annotated[int, typer.Option(metavar="N", help="How many machines may enrol with it.")] = 1,
    labels: Annotated[
        list[str] | None,
        typer.Option("-l", "--label", metavar="NAME=VALUE", help="Given to each of them; repeatable."),
    ] = None,
    vpn: Annotated[str, typer.Option(help="wireguard or openvpn: the agent brings a tunnel to the server up.")] = "",
    server: Annotated[
        str, typer.Option(metavar="URL", help="What agents dial, as behind a proxy: wss://HOST[:PORT]/wsi.")
    ] = "",
    json: Json = False,
) -> None:
    """Print the line that makes a machine a backend: paste it into a shell of root's there.

    It needs curl and python3-venv on the machine. It holds a secret, and is shown this once.
    """
    try:
        seconds = int(units.seconds(expires))
    except ValueError as error:
        raise QuixError(f"expires: {error}", Exit.DATA) from None
    with session.client() as client:
        made = client.add_enrolment(expires=seconds, uses=uses, labels=pairs(labels or []), vpn=vpn, server=server)
    emit(made, json, made.command)
    if not json:
        machines = "one machine" if uses == 1 else f"{uses} machines"
        say(f"for {machines}, within {expires}; it holds a secret and is shown this once")
        say(f"to end it: quix enrolment rm {made.id}")
        if is_loopback(_host_of(made.command)):
            say("it names this server as its own machine does; for others: --server wss://HOST:PORT/wsi")


def _host_of(command: str) -> str:
    """Return the host that agents are told to dial."""
    words = re.findall(r"QUIX_SERVER=([^ ']+)", command)
    return (urlsplit(words[0]).hostname or "") if words else ""


@app.command("ls")
def ls(json: Json = False) -> None:
    """List the enrolment keys that are not over."""
    with session.client() as client:
        found = [*client.enrolments()]
    emit(found, json, render.enrolments(found, time.time()))


@app.command("rm")
def rm(key: Annotated[str, typer.Argument(metavar="ID", help="See `quix enrolment ls`.")], json: Json = False) -> None:
    """End an enrolment key; the machines that have enrolled with it stay."""
    with session.client() as client:
        client.end_enrolment(key)
    done(json)
