"""All commands, and how they fail: one line on stderr, and an exit code of its own."""

from __future__ import annotations

import gc
import sys
from typing import Annotated

import typer

from quix.cli import (
    alerts,
    audit,
    backends,
    credentials,
    demo,
    enrolments,
    events,
    login,
    programs,
    runs,
    serve,
    telemetry,
    top,
    units,
    user,
    version,
    vpn,
)
from quix.cli.output import say
from quix.exits import Exit, QuixError, report

app = typer.Typer(
    name="quix",
    help="A control plane for machines that nobody can reach from outside.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_shows_tracebacks = False


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", envvar="QUIX_DEBUG", help="Show a traceback where a command fails.")
    ] = False,
    version: Annotated[  # noqa: ARG001 - its callback has done everything
        bool, typer.Option("--version", callback=version.on_option, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    global _shows_tracebacks
    _shows_tracebacks = debug


app.command()(serve.server)
app.command()(serve.agent)
app.command()(serve.supervisor)
app.command("systemd-units")(units.systemd_units)
app.command()(demo.demo)
app.add_typer(user.app, name="user")
app.command("login")(login.log_in)
app.command("logout")(login.log_out)
app.command("whoami")(login.whoami)
app.command("passwd")(credentials.passwd)
app.add_typer(credentials.tokens, name="token")
app.add_typer(credentials.sessions, name="session")
app.command("enroll-command")(enrolments.enroll_command)
app.add_typer(enrolments.app, name="enrolment")
app.command("ls")(backends.ls)
app.command("label")(backends.label)
app.command("rename")(backends.rename)
app.command("revoke")(backends.revoke)
app.command("rm")(backends.rm)
app.command("run")(programs.run)
app.command("ps")(programs.ps)
app.command("kill")(programs.kill)
app.command("runs")(runs.runs)
app.command("logs")(runs.logs)
app.command("telemetry")(telemetry.telemetry)
app.command("top")(top.top)
app.add_typer(vpn.app, name="vpn")
app.add_typer(alerts.app, name="alert")
app.command("events")(events.events)
app.command("audit")(audit.audit)
app.command("version")(version.version)


def main() -> None:
    """Run the command line of this process, and exit."""
    # What is imported stays: by the usual thresholds a sixth of the time to start goes into looking for garbage in it.
    gc.set_threshold(50_000, 20, 100)
    try:
        app()
    except Exception as error:
        if _shows_tracebacks:
            raise
        sys.exit(_fail(error))


def _fail(error: Exception) -> Exit:
    """Say what went wrong; return the exit status."""
    from quix.wire.reasons import Refusal

    if isinstance(error, QuixError):
        return report(error)
    if isinstance(error, Refusal):
        say(f"quix: {error.reason}: {error.detail}")
        return Exit.UNAVAILABLE
    say(f"quix: {type(error).__name__}: {error} (--debug shows more)")
    return Exit.SOFTWARE
