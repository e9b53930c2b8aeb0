"""`quix audit`."""

from __future__ import annotations

import itertools
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from quix import units
from quix.cli import render, session
from quix.cli.local import DataDir, existing, with_accounts
from quix.cli.output import Json, emit, write_lines
from quix.exits import Exit, QuixError

if TYPE_CHECKING:
    from quix.store.audit import Verdict


def audit(
    user: Annotated[str, typer.Option(metavar="NAME", help="Only what this user did.")] = "",
    backend: Annotated[str, typer.Option(metavar="BACKEND", help="Only what was about this backend.")] = "",
    action: Annotated[str, typer.Option(metavar="ACTION", help="Only this, see docs/access.md.")] = "",
    outcome: Annotated[str, typer.Option(metavar="OUTCOME", help="Only what ended so: success, or a reason.")] = "",
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Not what was before: 90m, 24h, 7d ago, or a date and time.")
    ] = "",
    count: Annotated[int, typer.Option("-n", min=1, metavar="N", help="The newest so many.")] = 100,
    export: Annotated[bool, typer.Option("--export", help="Print everything as lines of JSON, the oldest first.")] = (
        False
    ),
    verify: Annotated[
        bool, typer.Option("--verify", help="Check that nothing was changed or taken out; on the server's machine.")
    ] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Show who did what, from where, with what outcome."""
    if verify:
        _show(with_accounts(existing(data_dir), lambda _accounts, store: store.audit.verify()), json)
        return
    start = _time(since, time.time()) if since else None
    with session.client() as client:
        if export:
            write_lines(client.export_audit(user=user, backend=backend, action=action, outcome=outcome, since=start))
            return
        found = client.audit(user=user, backend=backend, action=action, outcome=outcome, since=start)
        rows = [*itertools.islice(found, count)]
    emit(rows, json, render.audit(rows))


def _show(verdict: Verdict, json: bool) -> None:
    text = f"{verdict.rows} rows, whole; the last is {verdict.last}, {verdict.hash}"
    emit(verdict, json, verdict.broken or text)
    if verdict.broken:
        raise typer.Exit(Exit.REFUSED)


def _time(text: str, now: float) -> float:
    """Return the epoch seconds that `text` means: so long before `now`, or a date with or without a time.

    Raises:
        QuixError: it means none.
    """
    try:
        return now - units.seconds(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError):
        message = f"since: {text!r} is neither a time such as 24h nor a date such as 2030-01-31"
        raise QuixError(message, Exit.DATA) from None
