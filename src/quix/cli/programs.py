"""`quix run`, `quix ps`, `quix kill`, `quix runs`."""

from __future__ import annotations

import time
from typing import Annotated, Final

import typer

from quix.cli import render, session
from quix.cli.backends import BackendName
from quix.cli.output import Json, done, emit, say
from quix.exits import QuixError

_NOT_FOUND: Final = 127
_NOT_EXECUTABLE: Final = 126
_FAILED: Final = 125


def run(
    backend: BackendName,
    cmd: Annotated[list[str], typer.Argument(metavar="CMD...", help="The program and its arguments; no shell.")],
    detach: Annotated[bool, typer.Option("-d", "--detach", help="Do not wait for output or for the end.")] = False,
    json: Json = False,
) -> None:
    """Start a program on a backend: `quix run BACKEND -- CMD...`.

    Exits with 127 where there is no such program, 126 where it may not be executed, 125 where Quix failed.
    """
    try:
        with session.client() as client:
            started = client.execute(backend, cmd)
    except QuixError as error:
        say(f"quix: {error}")
        raise typer.Exit(_status(error)) from error
    if not detach:
        say("quix: the program was started; its output is not available from this backend yet")
    emit(started, json, f"pid {started.proc_id}, run {started.run_id}")


def _status(error: QuixError) -> int:
    from quix.client import RefusedError

    if not isinstance(error, RefusedError):
        return _FAILED
    if error.reason == "command_not_found":
        return _NOT_FOUND
    return _NOT_EXECUTABLE if error.reason in ("permission_denied", "policy_denied") else _FAILED


def ps(
    backend: BackendName,
    everything: Annotated[bool, typer.Option("-v", "--all", help="Every process that the agent sees.")] = False,
    json: Json = False,
) -> None:
    """List the programs that Quix started on a backend."""
    with session.client() as client:
        found = client.processes(backend, everything=everything)
    emit(found, json, render.processes(found))


def kill(
    backend: BackendName,
    pid: Annotated[int, typer.Argument(metavar="PID", min=1, help="Process ID of a program that Quix started.")],
    mode: Annotated[str, typer.Option("-s", "--signal", help="SIGTERM, SIGKILL or SIGHUP.")] = "SIGTERM",
    json: Json = False,
) -> None:
    """Signal a program: SIGTERM and SIGKILL reach its whole tree, SIGHUP the program itself."""
    with session.client() as client:
        client.signal(backend, pid, mode)
    done(json)


def runs(backend: BackendName, json: Json = False) -> None:
    """List the programs that were started on a backend, whether they still run or not."""
    with session.client() as client:
        found = [*client.runs(backend)]
    emit(found, json, render.runs(found, time.time()))
