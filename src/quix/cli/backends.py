"""`quix ls`, `quix label`, `quix rename`, `quix revoke`, `quix rm`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from quix.cli import complete, render, session
from quix.cli.output import Json, done, emit
from quix.exits import Exit, QuixError

BackendName = Annotated[
    str,
    typer.Argument(
        metavar="BACKEND", help="Its id, or its name where that is unique.", autocompletion=complete.backends
    ),
]


def ls(
    search: Annotated[str, typer.Argument(metavar="SEARCH", help="Part of a name, an id or an address.")] = "",
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "-l",
            "--label",
            metavar="NAME=VALUE",
            help="Only with this label; repeatable.",
            autocompletion=complete.labels,
        ),
    ] = None,
    online: Annotated[bool, typer.Option("--online", help="Only those that are connected.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Only those that are not.")] = False,
    revoked: Annotated[bool, typer.Option("--revoked", help="Only those that were revoked.")] = False,
    sort: Annotated[str, typer.Option(metavar="ORDER", help="created, name or last_seen; -name the other way.")] = (
        "created"
    ),
    json: Json = False,
) -> None:
    """List the backends."""
    states = [name for name, chosen in (("online", online), ("offline", offline), ("revoked", revoked)) if chosen]
    if len(states) > 1:
        raise QuixError(f"--{states[1]}: not together with --{states[0]}", Exit.USAGE)
    chosen = pairs(labels or [])
    with session.client() as client:
        found = [*client.backends(search, labels=chosen, state="".join(states), sort=sort)]
    everything = not (search or chosen or states)
    emit(found, json, render.backends(found, time.time(), is_everything=everything))


def label(
    backend: BackendName,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE|NAME-", help="A label to give, or to take away.")
    ] = None,
    json: Json = False,
) -> None:
    """Give a backend labels, and show what it has: its agent's own, and above them those that were given to it."""
    wanted = changes(words or [], may_remove=True)
    with session.client() as client:
        found = client.label_backend(backend, wanted) if wanted else client.backend(backend)
    emit(found.labels, json, render.labels(found))


def pairs(words: list[str]) -> dict[str, str]:
    """Return the labels that words of the form NAME=VALUE mean. Raises QuixError."""
    found = changes(words, may_remove=False)
    return {name: value for name, value in found.items() if value is not None}


def changes(words: list[str], *, may_remove: bool) -> dict[str, str | None]:
    """Return the labels that words of the form NAME=VALUE mean, and None for each NAME-.

    Raises:
        QuixError: one of them is neither.
    """
    found: dict[str, str | None] = {}
    for word in words:
        name, separator, value = word.partition("=")
        if separator and name:
            found[name] = value
        elif may_remove and not separator and len(word) > 1 and word.endswith("-"):
            found[word[:-1]] = None
        else:
            raise QuixError(f"label: {word!r} is no NAME=VALUE{' or NAME-' if may_remove else ''}", Exit.DATA)
    return found


def rename(
    backend: BackendName,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The new name.")] = None,
    own: Annotated[bool, typer.Option("--own", help="Give it back the name that its agent tells.")] = False,
    json: Json = False,
) -> None:
    """Give a backend a name that goes before its agent's own."""
    if (name is None) != own:
        raise QuixError("name: either NAME or --own is needed", Exit.USAGE)
    with session.client() as client:
        client.rename_backend(backend, name)
    done(json)


def revoke(backend: BackendName, json: Json = False) -> None:
    """End a backend's token and VPN lease for good, and keep it in the list. Its programs go on."""
    with session.client() as client:
        client.revoke_backend(backend)
    done(json)


def rm(backend: BackendName, json: Json = False) -> None:
    """Remove a backend: its token ends. Its programs go on, and the machine can enrol again."""
    with session.client() as client:
        client.remove_backend(backend)
    done(json)
