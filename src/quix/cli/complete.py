"""What a shell offers at Tab: names from the server of the login that is kept. Quick, or else nothing; never a word."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

import typer

from quix.exits import QuixError, printable

if TYPE_CHECKING:
    from quix.client import Client

_PATIENCE: Final = 1.0
"""Seconds after which nothing is offered: whoever presses Tab goes on typing."""

_MOST: Final = 200
_RUNNING: Final = ("starting", "running", "waiting")

Offer = tuple[str, str]
"""What is offered, and what shells that can do so show beside it."""


def backends(incomplete: str) -> list[Offer]:
    """Offer the names of backends."""
    return _asked(
        lambda client: ((each.name, each.facts.os if each.facts else "") for each in client.backends(incomplete)),
        incomplete,
    )


def labels(incomplete: str) -> list[Offer]:
    """Offer NAME=VALUE of the labels that backends have."""
    return _asked(
        lambda client: (
            (f"{name}={value}", "") for backend in client.backends() for name, value in sorted(backend.labels.items())
        ),
        incomplete,
    )


def runs(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Offer the newest runs of the backend that the command line names."""
    return _runs(ctx, incomplete, lambda _state: True)


def running(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Offer those that have not ended."""
    return _runs(ctx, incomplete, lambda state: state in _RUNNING)


def _runs(ctx: typer.Context, incomplete: str, is_meant: Callable[[str], bool]) -> list[Offer]:
    backend = ctx.params.get("backend")
    if not backend:
        return []
    return _asked(
        lambda client: (
            (run.id, " ".join(run.cmd)) for run in deque(client.runs(backend), _MOST) if is_meant(run.state)
        ),
        incomplete,
    )


def _asked(look: Callable[[Client], Iterable[Offer]], incomplete: str) -> list[Offer]:
    """Return what the server offers that begins so, each once; nothing where it does not answer in time."""
    answer: queue.SimpleQueue[list[Offer]] = queue.SimpleQueue()

    def ask() -> None:
        from quix.cli import session
        from quix.client import Client

        # Not logged in, not reached, not allowed: there is nothing to offer, and this is no place to say so.
        with contextlib.suppress(QuixError):
            kept = session.load()
            with Client(kept.url, kept.token, _PATIENCE, ca=kept.ca, allow_plaintext=kept.allow_plaintext) as client:
                found = ((word, printable(about)) for word, about in look(client))
                fitting = (each for each in found if each[0].startswith(incomplete) and each[0].isprintable())
                answer.put([*dict(itertools.islice(fitting, _MOST)).items()])

    threading.Thread(target=ask, daemon=True, name="quix-complete").start()
    try:
        return answer.get(timeout=_PATIENCE)
    except queue.Empty:
        return []
