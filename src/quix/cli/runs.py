"""`quix runs`, `quix logs`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from quix.cli import complete, render, session
from quix.cli.backends import BackendName
from quix.cli.options import Tail
from quix.cli.output import Json, emit


def runs(backend: BackendName, json: Json = False) -> None:
    """List the programs that were started on a backend, whether they still run or not."""
    with session.client() as client:
        found = [*client.runs(backend)]
    emit(found, json, render.runs(found, time.time()))


def logs(
    backend: BackendName,
    run_id: Annotated[
        str, typer.Argument(metavar="RUN", help="The id of a run, see `quix runs`.", autocompletion=complete.runs)
    ],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the run has ended.")] = False,
    stdout: Annotated[int, typer.Option(min=0, metavar="OFFSET", help="Standard output from this byte on.")] = 0,
    stderr: Annotated[int, typer.Option(min=0, metavar="OFFSET", help="Standard error from this byte on.")] = 0,
    tail: Tail = None,
    release: Annotated[
        bool, typer.Option("--release", help="Have it no longer wait for the `quix run` that started it.")
    ] = False,
) -> None:
    """Print what a run wrote: its standard output and standard error, each to where it belongs here."""
    from quix.cli.attach import Trouble, show
    from quix.client.follow import PATIENCE, Follower

    with session.client() as client:
        if release:
            client.read_output(backend, run_id, limit=1, unattended=True)
        if tail is not None:
            state = client.read_output(backend, run_id, limit=1).state
            stdout, stderr = max(stdout, state.stdout - tail), max(stderr, state.stderr - tail)
        patience = PATIENCE if follow else 0.0
        follower = Follower(client, backend, run_id, stdout, stderr, patience=patience, trouble=Trouble())
        show(follower.follow() if follow else follower.catch_up(), follower)
