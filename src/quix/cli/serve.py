"""`quix server`, `quix agent` and `quix supervisor`: the long-running commands, in the foreground."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from quix.server.control import Control

Config = Annotated[Path | None, typer.Option("--config", help="TOML file; flags and QUIX_* variables come first.")]
# Not asked whether it can be read: the agent's user need not see what else is in it.
DataDir = Annotated[Path | None, typer.Option(help="The Quix data folder of this machine.", readable=False)]
LogFormat = Annotated[str | None, typer.Option(help="console or json.")]
LogLevel = Annotated[str | None, typer.Option(help="debug, info, warning or error.")]


def server(
    data_dir: Annotated[Path | None, typer.Option(help="Where the server keeps everything.")] = None,
    listen: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Where agents dial in.")] = None,
    http: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Where operators send REST requests.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain for wss://, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.")] = None,
    tls_self_signed: Annotated[
        bool | None, typer.Option("--tls-self-signed", help="Make a certificate; agents pin the fingerprint printed.")
    ] = None,
    token_validity: Annotated[int | None, typer.Option(metavar="SECONDS", help="Life of a backend's token.")] = None,
    config_file: Config = None,
    log_format: LogFormat = None,
    log_level: LogLevel = None,
) -> None:
    """Run a control server until SIGTERM."""
    from quix import config, logs
    from quix.server.settings import ServerSettings

    flags = _given(locals())
    settings = config.load(ServerSettings, flags, os.environ, config_file)
    logs.setup(settings.log_format, settings.log_level)
    run_server(settings, lambda _control: _ready())


def run_server(settings: Any, ready: Callable[[Control], None]) -> None:
    """Run a server with both its doors on uvloop until it is told to stop."""
    import uvloop

    from quix.server.app import serve

    uvloop.run(serve(settings, operators, ready))


@contextlib.asynccontextmanager
async def operators(control: Control) -> AsyncIterator[None]:
    """Open the operators' door of a server: REST and what is built on it."""
    from quix.api.door import opened

    async with opened(control):
        yield


def agent(
    server: Annotated[str | None, typer.Option(metavar="URL", help="wss://HOST:PORT/wsi of the server.")] = None,
    username: Annotated[str | None, typer.Option(help="User to enrol as; needed the first time only.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="File with that user's password.")] = None,
    data_dir: DataDir = None,
    name: Annotated[str | None, typer.Option(help="Name of this backend; default: the host name.")] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="A label; repeatable.")] = None,
    vpn: Annotated[str | None, typer.Option(help="wireguard or openvpn: bring a tunnel to the server up.")] = None,
    vpn_mode: Annotated[str | None, typer.Option(help="udp (default) or tcp: what an openvpn tunnel is in.")] = None,
    sandbox: Annotated[str | None, typer.Option(help="landlock (default), uid or none.")] = None,
    program_user: Annotated[
        str | None, typer.Option(metavar="USER", help="Whose rights programs get; a name or UID:GID.")
    ] = None,
    policy: Annotated[Path | None, typer.Option(metavar="FILE", help="What any server may do; the owner's.")] = None,
    allow: Annotated[
        str | None, typer.Option(metavar="KINDS", help="Of that, only these: telemetry,execute,signal,vpn,list.")
    ] = None,
    re_enroll: Annotated[
        bool | None, typer.Option("--re-enroll", help="Become a new backend where the token is no longer known.")
    ] = None,
    allow_plaintext: Annotated[
        bool | None, typer.Option("--allow-plaintext", help="Send secrets over plain ws:// to other machines too.")
    ] = None,
    tls_ca: Annotated[Path | None, typer.Option(help="Authorities to trust instead of the system's, PEM.")] = None,
    tls_fingerprint: Annotated[str | None, typer.Option(help="sha256:… of a self-signed server's certificate.")] = None,
    config_file: Config = None,
    log_format: LogFormat = None,
    log_level: LogLevel = None,
) -> None:
    """Run the agent of this machine until SIGTERM; its programs go on."""
    from quix import config
    from quix.agent.launch import become
    from quix.agent.settings import AgentSettings

    flags = _given(locals())
    if label:
        flags["labels"] = _labels(label)
    become(config.load(AgentSettings, flags, os.environ, config_file))


def supervisor(
    data_dir: DataDir = None,
    agent_user: Annotated[
        str | None, typer.Option(metavar="USER", help="Who the agent runs as, and may call it; a name or a uid.")
    ] = None,
    sandbox: Annotated[str | None, typer.Option(help="landlock (default), uid or none.")] = None,
    program_user: Annotated[
        str | None, typer.Option(metavar="USER", help="Whose rights programs get; a name or UID:GID.")
    ] = None,
    policy: Annotated[Path | None, typer.Option(metavar="FILE", help="What any server may do; the owner's.")] = None,
    allow: Annotated[
        str | None, typer.Option(metavar="KINDS", help="Of that, only these: telemetry,execute,signal,vpn,list.")
    ] = None,
    config_file: Config = None,
) -> None:
    """Run the supervisor of this machine's programs until SIGTERM; programs go on.

    `quix agent` starts one by itself. This one is for an agent that is not root, beside a supervisor that is.
    """
    from quix import config
    from quix.supervisor.launch import become
    from quix.supervisor.settings import SupervisorSettings

    become(config.load(SupervisorSettings, _given(locals()), os.environ, config_file))


def _ready() -> None:
    from quix import logs, notify

    if obstacle := notify.tell("READY=1"):
        logs.get(__name__).warning("the service manager could not be told", error=obstacle)


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """The flags among a command's local names: plain values that were given."""
    left_out = {"config_file", "label"}
    return {
        name: value
        for name, value in values.items()
        if name not in left_out and isinstance(value, str | int | bool | Path)
    }


def _labels(pairs: list[str]) -> dict[str, str]:
    labels = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise typer.BadParameter(f"{pair!r} is no KEY=VALUE", param_hint="--label")
        labels[key] = value
    return labels
