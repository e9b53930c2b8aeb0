"""The options of `quix run` that say how a program is started and what it may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from quix import units

if TYPE_CHECKING:
    from quix.wire.runs import RunOptions

_BYTES = "in bytes, or with K, M, G, T"
_TIME = "in seconds, or with s, m, h, d"

PARALLEL: Final = 20
"""Backends at a time, where a program is run on many."""

_MOST: Final = 500


def _parsed(read: Callable[[str], float]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error

    return parse


_size, _seconds = _parsed(units.size), _parsed(units.seconds)

Span = Annotated[
    float | None,
    typer.Option("--history", metavar="TIME", parser=_seconds, help=f"How it was over the last TIME, {_TIME}."),
]

TimeLimit = Annotated[
    float | None, typer.Option("--timeout", metavar="TIME", parser=_seconds, help=f"End it after that long, {_TIME}.")
]
Memory = Annotated[int | None, typer.Option(metavar="SIZE", parser=_size, help=f"Memory of the whole tree, {_BYTES}.")]
Processes = Annotated[int | None, typer.Option(metavar="N", help="Processes and threads of the whole tree.")]
CpuTime = Annotated[float | None, typer.Option(metavar="TIME", parser=_seconds, help=f"Processor time, {_TIME}.")]
OpenFiles = Annotated[int | None, typer.Option(metavar="N", help="Open files of each process.")]
FileSize = Annotated[int | None, typer.Option(metavar="SIZE", parser=_size, help=f"Largest file, {_BYTES}.")]
OutputSize = Annotated[int | None, typer.Option(metavar="SIZE", parser=_size, help=f"All that it writes, {_BYTES}.")]
Variables = Annotated[
    list[str] | None, typer.Option("-e", "--env", metavar="NAME=VALUE", help="An environment variable; repeatable.")
]
Directory = Annotated[
    str | None, typer.Option("-w", "--cwd", metavar="DIR", help="Working folder, in the data folder.")
]
Title = Annotated[str, typer.Option(help="What `quix ps` calls it.")]
Restart = Annotated[str, typer.Option(metavar="WHEN", help="Start it again when it ends: never, on-failure, always.")]
Keep = Annotated[
    int | None, typer.Option(metavar="SIZE", parser=_size, help=f"Output kept on the backend, {_BYTES}; default 64M.")
]

Tail = Annotated[
    int | None, typer.Option(metavar="SIZE", parser=_size, help=f"The last part of each stream only, {_BYTES}.")
]

Parallel = Annotated[
    int | None,
    typer.Option(min=1, max=_MOST, metavar="N", help=f"On many: on N at a time, {PARALLEL} unless you say."),
]
MaxFailures = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="On many: after N failures begin on no more.")
]
Grouped = Annotated[
    bool, typer.Option("--group", help="On many: show what each wrote at once, when it has ended there.")
]


def run_options(given: Mapping[str, Any], *, attached: bool, interactive: bool, tty: bool) -> RunOptions:
    """Return the options that the flags of `quix run` mean.

    Raises:
        typer.BadParameter: one of them cannot be.
    """
    import msgspec

    from quix.cli.attach import terminal_size
    from quix.wire.codec import field_detail
    from quix.wire.runs import RunOptions

    names = ("memory", "processes", "cpu", "open_files", "file_size", "output")
    limits = {"time": given["timeout"], **{name: given[name] for name in names}}
    wanted = {
        "env": _variables(given["env"] or []) or None,
        "cwd": given["cwd"],
        "title": given["title"],
        "restart": given["restart"],
        "keep": given["keep"],
        "limits": {name: value for name, value in limits.items() if value is not None},
        "stdin": "pipe" if interactive and not tty else "none",
        "terminal": msgspec.to_builtins(terminal_size()) if tty else None,
        # Who watches gets all of it, however slowly; a program that nobody watches must not wait for anybody.
        "overflow": "wait" if attached else "drop",
    }
    try:
        return msgspec.convert({name: value for name, value in wanted.items() if value is not None}, RunOptions)
    except msgspec.ValidationError as error:
        raise typer.BadParameter(field_detail(error, "options")) from error


def _variables(pairs: list[str]) -> dict[str, str]:
    variables = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise typer.BadParameter(f"{pair!r} is no NAME=VALUE", param_hint="--env")
        variables[name] = value
    return variables
