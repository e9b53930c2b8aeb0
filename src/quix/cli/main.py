"""All commands, and how they fail: one line on stderr, and an exit code of its own."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import click
import typer

from quix import __version__
from quix.cli import backends, login, programs, serve, telemetry, user, vpn
from quix.exits import Exit, QuixError
from quix.wire.reasons import Refusal

app = typer.Typer(
    name="quix",
    help="A control plane for machines that nobody can reach from outside.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"quix {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback where a command fails.")] = False,
    version: Annotated[  # noqa: ARG001 - its callback has done everything
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if debug:
        os.environ["QUIX_DEBUG"] = "1"


app.command()(serve.server)
app.command()(serve.agent)
app.command()(serve.demo)
app.add_typer(user.app, name="user")
app.command("login")(login.log_in)
app.command("logout")(login.log_out)
app.command("whoami")(login.whoami)
app.command("ls")(backends.ls)
app.command("rm")(backends.rm)
app.command("run")(programs.run)
app.command("ps")(programs.ps)
app.command("kill")(programs.kill)
app.command("runs")(programs.runs)
app.command("telemetry")(telemetry.telemetry)
app.add_typer(vpn.app, name="vpn")


def main() -> None:
    """Run the command line of this process, and exit."""
    sys.exit(_run())


def _run() -> int:
    try:
        result: Any = app(standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Nobody reads on; Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except Exception as error:
        if os.environ.get("QUIX_DEBUG"):
            raise
        return _fail(error)
    return result if isinstance(result, int) else Exit.OK


def _fail(error: Exception) -> int:
    if isinstance(error, QuixError):
        typer.echo(f"quix: {error}", err=True)
        return error.code
    if isinstance(error, Refusal):
        typer.echo(f"quix: {error.reason}: {error.detail}", err=True)
        return Exit.UNAVAILABLE
    typer.echo(f"quix: {type(error).__name__}: {error} (--debug shows more)", err=True)
    return Exit.SOFTWARE
