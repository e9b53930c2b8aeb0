"""Which backends a command is for, where it is for many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from quix.cli import complete
from quix.cli.backends import pairs
from quix.exits import Exit, QuixError, printable
from quix.wire.extensions import PROCESS

if TYPE_CHECKING:
    from quix.client import Backend, Client

Labels = Annotated[
    list[str] | None,
    typer.Option(
        "-l",
        "--label",
        metavar="NAME=VALUE",
        help="On all backends with this label; repeatable.",
        autocompletion=complete.labels,
    ),
]
Search = Annotated[str, typer.Option(metavar="TEXT", help="On all with TEXT in their name, id or address.")]
Named = Annotated[
    list[str] | None,
    typer.Option(
        "-b", "--backend", metavar="BACKEND", help="On this one; repeatable.", autocompletion=complete.backends
    ),
]
Everything = Annotated[bool, typer.Option("--all", help="On the whole fleet.")]
Online = Annotated[bool, typer.Option("--online", help="Of those, only on the ones that are connected.")]


class Selection(Struct, frozen=True, kw_only=True):
    """What was said on the command line: backends that have all `labels` and `search`, and those that are `named`."""

    labels: list[str]
    search: str
    named: list[str]
    everything: bool
    online: bool

    def __bool__(self) -> bool:
        return bool(self.labels or self.search or self.named or self.everything or self.online)

    def check(self) -> None:
        """Raise QuixError where it could be more than is meant."""
        if self.everything and (self.labels or self.search or self.named):
            raise QuixError("--all: not together with -l, --search or -b, which choose", Exit.USAGE)
        if not (self.labels or self.search or self.named or self.everything):
            raise QuixError("--online: that alone is the whole fleet; add --all where it is meant", Exit.USAGE)


class Target(Struct, frozen=True):
    """One of the backends. `name` is printable and no other target's; `keeps_runs`: its agent tells how they end."""

    id: str
    name: str
    connected: bool
    keeps_runs: bool


def find(client: Client, selection: Selection) -> list[Target]:
    """Return the backends that are meant, by name; those that were revoked can never be reached and are none.

    Raises:
        QuixError: there is none, or one that is named does not exist.
    """
    selection.check()
    # Not the backends themselves: of a large fleet they are more than is needed here.
    found = {target.id: target for target in map(_target, _matching(client, selection))}
    if not found:
        nowhere = "no backend that is connected matches" if selection.online else "no backend matches"
        raise QuixError(f"{nowhere}; `quix ls` lists them", Exit.NO_BACKEND)
    names = Counter(target.name for target in found.values())
    shown = [
        Target(each.id, each.name if names[each.name] == 1 else each.id, each.connected, each.keeps_runs)
        for each in found.values()
    ]
    return sorted(shown, key=lambda target: target.name)


def _matching(client: Client, selection: Selection) -> Iterator[Backend]:
    named = [client.backend(each) for each in selection.named]  # first, for what does not exist to be said at once
    for backend in named:
        if backend.revoked_at is not None:
            raise QuixError(f"backend: {backend.name!r} was revoked and cannot be reached", Exit.NO_BACKEND)
        if backend.connected or not selection.online:
            yield backend
    if selection.labels or selection.search or selection.everything:
        chosen, state = pairs(selection.labels), "online" if selection.online else ""
        for backend in client.backends(selection.search, labels=chosen, state=state, sort="name"):
            if backend.revoked_at is None:
                yield backend


def _target(backend: Backend) -> Target:
    return Target(backend.id, printable(backend.name), backend.connected, PROCESS in backend.extensions)
