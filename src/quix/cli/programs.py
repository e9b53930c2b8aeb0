"""`quix run`, `quix ps`, `quix kill`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from quix.cli import complete, render, session
from quix.cli.backends import BackendName
from quix.cli.options import (
    PARALLEL,
    CpuTime,
    Directory,
    FileSize,
    Grouped,
    Keep,
    MaxFailures,
    Memory,
    OpenFiles,
    OutputSize,
    Parallel,
    Processes,
    Restart,
    TimeLimit,
    Title,
    Variables,
    run_options,
)
from quix.cli.output import Json, done, emit, say
from quix.cli.targets import Everything, Labels, Named, Online, Search, Selection
from quix.exits import Exit, QuixError

if TYPE_CHECKING:
    from quix.client import Client, Started
    from quix.wire.runs import RunOptions

_NOT_FOUND: Final = 127
_NOT_EXECUTABLE: Final = 126
_FAILED: Final = 125
_INTERRUPTED: Final = 130

_LONGEST_PID: Final = 10


def run(
    backend: Annotated[
        str,
        typer.Argument(
            metavar="BACKEND",
            help="Its id, or its name where that is unique; not with -l and such.",
            autocompletion=complete.backends,
        ),
    ],
    cmd: Annotated[
        list[str] | None, typer.Argument(metavar="CMD...", help="The program and its arguments; no shell.")
    ] = None,
    label: Labels = None,
    search: Search = "",
    named: Named = None,
    everything: Everything = False,
    online: Online = False,
    parallel: Parallel = None,
    max_failures: MaxFailures = None,
    group: Grouped = False,
    detach: Annotated[bool, typer.Option("-d", "--detach", help="Print the run's id and leave it running.")] = False,
    interactive: Annotated[bool, typer.Option("-i", "--interactive", help="Pass standard input on.")] = False,
    tty: Annotated[bool, typer.Option("-t", "--tty", help="Run it on a terminal of its own; implies -i.")] = False,
    timeout: TimeLimit = None,
    memory: Memory = None,
    processes: Processes = None,
    cpu: CpuTime = None,
    open_files: OpenFiles = None,
    file_size: FileSize = None,
    output: OutputSize = None,
    env: Variables = None,
    cwd: Directory = None,
    title: Title = "",
    restart: Restart = "never",
    keep: Keep = None,
    json: Json = False,
) -> None:
    """Run a program on a backend: `quix run BACKEND -- CMD...`; or on many: `quix run -l NAME=VALUE -- CMD...`.

    Shows what it writes, passes Ctrl-C on (three in a row leave it running; with -t it is Ctrl-P Ctrl-Q), and exits as
    it does: with its status, 128+N for signal N, 124 where --timeout ended it, 127 where there is no such program, 126
    where it may not be executed, 125 where Quix failed.

    On many backends each line has the name of its backend before it, --json prints a line for each backend as it ends,
    and a summary follows on standard error. Ctrl-C begins no more and is passed on; the second leaves what runs. The
    exit status is 0 where it ended with 0 on all of them, 3 where not, 68 where no backend matches, 128+N after a
    signal.
    """
    chosen = Selection(labels=label or [], search=search, named=named or [], everything=everything, online=online)
    if chosen:
        options = run_options(locals(), attached=not (detach or json), interactive=interactive, tty=tty)
        raise typer.Exit(_run_on_many(chosen, [backend, *(cmd or [])], options, locals()))
    _check_one(locals())
    assert cmd is not None
    options = run_options(locals(), attached=not (detach or json), interactive=interactive, tty=tty)
    try:
        with session.client() as client:
            started = _start(client, backend, cmd, options)
            status = None if detach else _attend(client, backend, started.run_id, locals())
    except QuixError as error:
        say(f"quix: {error}")
        raise typer.Exit(_status(error)) from error
    if status is not None:
        raise typer.Exit(status)
    emit(started, json, f"pid {started.proc_id}, run {started.run_id}")


def _run_on_many(chosen: Selection, cmd: list[str], options: RunOptions, given: Mapping[str, Any]) -> int:
    from quix.cli import many

    if given["interactive"] or given["tty"]:
        raise typer.BadParameter("this is for one backend", param_hint="-i, -t")
    manner = many.Manner(
        parallel=given["parallel"] or PARALLEL,
        max_failures=given["max_failures"] or 0,
        group=given["group"],
        detach=given["detach"],
        json=given["json"],
    )
    return many.run(chosen, cmd, options, manner)


def _check_one(given: Mapping[str, Any]) -> None:
    for name in ("parallel", "max_failures", "group"):
        if given[name]:
            hint = f"--{name.replace('_', '-')}"
            raise typer.BadParameter("that is for many: choose them by -l, --search, -b or --all", param_hint=hint)
    if not given["cmd"]:
        raise QuixError("Missing argument 'CMD...'; the program comes after the backend", Exit.USAGE)


def _start(client: Client, backend: str, cmd: list[str], options: RunOptions) -> Started:
    try:
        return client.execute(backend, cmd, options)
    except KeyboardInterrupt:
        say(f"quix: whether it was started is not known: quix runs {backend}")
        raise typer.Exit(_INTERRUPTED) from None


def _attend(client: Client, backend: str, run_id: str, given: Mapping[str, Any]) -> int | None:
    from quix.cli.attach import attend

    interactive = given["interactive"] or given["tty"]
    return attend(client, backend, run_id, follow=not given["json"], interactive=interactive, terminal=given["tty"])


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
    target: Annotated[
        str,
        typer.Argument(
            metavar="PID|RUN", help="A program's process ID, or the id of its run.", autocompletion=complete.running
        ),
    ],
    mode: Annotated[str, typer.Option("-s", "--signal", help="SIGTERM, SIGKILL, SIGHUP, SIGINT, ...")] = "SIGTERM",
    json: Json = False,
) -> None:
    """Signal a program: SIGTERM, SIGKILL, SIGINT and SIGQUIT reach its whole tree, and it is not started again."""
    with session.client() as client:
        if target.isascii() and target.isdigit() and len(target) <= _LONGEST_PID:
            client.signal(backend, int(target), mode)
        else:
            client.signal_run(backend, target, mode)
    done(json)
