"""`quix alert`: what was raised, and the rules, channels and silences for it."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from quix import units
from quix.cli import alert_tables, session
from quix.cli.backends import pairs
from quix.cli.output import Json, done, emit, say
from quix.exits import Exit, QuixError

app = typer.Typer(help="Alerts, and who is told of them.", no_args_is_help=True)
rules = typer.Typer(help="Rules: what is watched.", no_args_is_help=True)
channels = typer.Typer(help="Channels: where alerts are told.", no_args_is_help=True)
silences = typer.Typer(help="Silences: alerts are kept, and nobody is told.", no_args_is_help=True)
app.add_typer(rules, name="rule")
app.add_typer(channels, name="channel")
app.add_typer(silences, name="silence")

RuleName = Annotated[str, typer.Argument(metavar="RULE", help="Its name or its id.")]
ChannelName = Annotated[str, typer.Argument(metavar="CHANNEL", help="Its name or its id.")]
WithLabels = Annotated[
    list[str] | None,
    typer.Option("-l", "--label", metavar="NAME=VALUE", help="Only backends with this label; repeatable."),
]


def _seconds(text: str, field: str) -> float:
    try:
        return units.seconds(text)
    except ValueError as error:
        raise QuixError(f"{field}: {error}", Exit.DATA) from None


@app.command("ls")
def ls(
    state: Annotated[str, typer.Option(help="firing or resolved; all without it.")] = "",
    backend: Annotated[str, typer.Option("-b", "--backend", metavar="BACKEND", help="Only those of this one.")] = "",
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="How many, the newest first.")] = 100,
    json: Json = False,
) -> None:
    """List alerts, the newest first."""
    with session.client() as client:
        found = [alert for alert, _ in zip(client.alerts(state=state, backend=backend), range(limit), strict=False)]
    emit(found, json, alert_tables.alerts(found, time.time()))


# -- rules ----------------------------------------------------------------------------------------


@rules.command("add")
def add_rule(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the rule, and its alerts, are called.")],
    metric: Annotated[str, typer.Option(metavar="METRIC", help="connection, cpu, memory, disk_fullest, load, ...")],
    above: Annotated[float | None, typer.Option(help="It is an alert above this; cpu, memory, disk in %.")] = None,
    below: Annotated[float | None, typer.Option(help="It is an alert below this.")] = None,
    clear: Annotated[float | None, typer.Option(help="It is over here; 5 % points or a tenth away without it.")] = None,
    hold: Annotated[str, typer.Option("--for", metavar="TIME", help="It has to last so long: 30s, 5m.")] = "1m",
    labels: WithLabels = None,
    told: Annotated[
        list[str] | None, typer.Option("--channel", metavar="CHANNEL", help="It is told there; repeatable.")
    ] = None,
    severity: Annotated[str, typer.Option(help="warning or critical.")] = "warning",
    json: Json = False,
) -> None:
    """Add a rule; it holds from now on."""
    if above is not None and below is not None:
        raise QuixError("above, below: a rule has one of them", Exit.DATA)
    with session.client() as client:
        made = client.add_alert_rule(
            name,
            metric,
            op="above" if below is None else "below",
            threshold=above if below is None else below,
            clear=clear,
            hold=_seconds(hold, "for"),
            labels=pairs(labels or []),
            channels=told or [],
            severity=severity,
        )
    emit(made, json, made.id)


@rules.command("ls")
def list_rules(json: Json = False) -> None:
    """List the rules."""
    with session.client() as client:
        found = [*client.alert_rules()]
    emit(found, json, alert_tables.rules(found))


@rules.command("rm")
def remove_rule(rule: RuleName, json: Json = False) -> None:
    """Remove a rule; its alerts end, and nobody is told."""
    with session.client() as client:
        client.remove_alert_rule(rule)
    done(json)


@rules.command("enable")
def enable(rule: RuleName, json: Json = False) -> None:
    """Let a rule hold again."""
    with session.client() as client:
        client.change_alert_rule(rule, {"enabled": True})
    done(json)


@rules.command("disable")
def disable(rule: RuleName, json: Json = False) -> None:
    """Let a rule hold no longer; its alerts end, and nobody is told."""
    with session.client() as client:
        client.change_alert_rule(rule, {"enabled": False})
    done(json)


# -- channels -------------------------------------------------------------------------------------


@channels.command("add")
def add_channel(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What rules call it.")],
    url: Annotated[str, typer.Option(metavar="URL", help="A webhook: messages are posted there.")] = "",
    to: Annotated[
        list[str] | None, typer.Option("--to", metavar="ADDRESS", help="E-mail: messages are sent there; repeatable.")
    ] = None,
    secret_stdin: Annotated[
        bool, typer.Option("--secret-stdin", help="Read a secret (whsec_...) from stdin; messages are signed with it.")
    ] = False,
    json: Json = False,
) -> None:
    """Add a channel: a webhook, or e-mail."""
    if bool(url) == bool(to):
        raise QuixError("url, to: a channel has either", Exit.DATA)
    with session.client() as client:
        if to:
            made = client.add_email(name, to)
        else:
            made = client.add_webhook(name, url, sys.stdin.readline().strip() if secret_stdin else None)
    emit(made, json, made.id)


@channels.command("ls")
def list_channels(json: Json = False) -> None:
    """List the channels, and how the last message went."""
    with session.client() as client:
        found = [*client.alert_channels()]
    emit(found, json, alert_tables.channels(found, time.time()))


@channels.command("rm")
def remove_channel(channel: ChannelName, json: Json = False) -> None:
    """Remove a channel; rules forget it."""
    with session.client() as client:
        client.remove_alert_channel(channel)
    done(json)


@channels.command("test")
def try_channel(channel: ChannelName, json: Json = False) -> None:
    """Send a test message now, and say how that went."""
    with session.client() as client:
        client.test_alert_channel(channel)
    done(json)
    if not json:
        say("a test message was taken")


# -- silences -------------------------------------------------------------------------------------


@silences.command("add")
def add_silence(
    length: Annotated[str, typer.Option("--for", metavar="TIME", help="How long: 30m, 2h, 7d.")],
    rule: Annotated[str | None, typer.Option(metavar="RULE", help="Only alerts of this rule.")] = None,
    backend: Annotated[
        str | None, typer.Option("-b", "--backend", metavar="BACKEND", help="Only alerts of this backend.")
    ] = None,
    labels: WithLabels = None,
    comment: Annotated[str, typer.Option(help="Why, for the others.")] = "",
    json: Json = False,
) -> None:
    """Tell nobody of alerts for a time: of a rule, of a backend, of backends with labels, or of all."""
    until = time.time() + _seconds(length, "for")
    with session.client() as client:
        made = client.add_silence(until, rule=rule, backend=backend, labels=pairs(labels or []), comment=comment)
    emit(made, json, made.id)


@silences.command("ls")
def list_silences(json: Json = False) -> None:
    """List the silences that hold."""
    with session.client() as client:
        found = [*client.silences()]
    emit(found, json, alert_tables.silences(found, time.time()))


@silences.command("rm")
def remove_silence(
    silence: Annotated[str, typer.Argument(metavar="ID", help="See `quix alert silence ls`.")], json: Json = False
) -> None:
    """End a silence now; of what still fires, people are told then."""
    with session.client() as client:
        client.remove_silence(silence)
    done(json)
