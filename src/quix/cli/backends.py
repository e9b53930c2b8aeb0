"""`quix ls`, `quix rm`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from quix.cli import render, session
from quix.cli.output import Json, done, emit

BackendName = Annotated[str, typer.Argument(metavar="BACKEND", help="Its id, or its name where that is unique.")]


def ls(json: Json = False) -> None:
    """List the backends."""
    with session.client() as client:
        found = [*client.backends()]
    emit(found, json, render.backends(found, time.time()))


def rm(backend: BackendName, json: Json = False) -> None:
    """Remove a backend: its token ends. Its programs go on, and the machine can enrol again."""
    with session.client() as client:
        client.remove_backend(backend)
    done(json)
