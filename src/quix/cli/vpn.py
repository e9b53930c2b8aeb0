"""`quix vpn ls`, `quix vpn conf`, `quix vpn revoke`, `quix vpn restore`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from quix.cli import render, session
from quix.cli.backends import BackendName
from quix.cli.output import Json, done, emit

app = typer.Typer(help="VPN leases and configurations.", no_args_is_help=True)


@app.command("ls")
def ls(json: Json = False) -> None:
    """List the leases."""
    with session.client() as client:
        found = [*client.leases()]
    emit(found, json, render.leases(found, time.time()))


@app.command("conf")
def conf(
    backend: BackendName,
    conf_type: Annotated[str, typer.Option("--type", help="wireguard or openvpn.")] = "wireguard",
    tun_mode: Annotated[str, typer.Option("--mode", help="udp or tcp; always udp for wireguard.")] = "udp",
    json: Json = False,
) -> None:
    """Make a configuration, private key included; one that was handed out before ends to work."""
    with session.client() as client:
        made = client.vpn_configuration(backend, conf_type, tun_mode)
    emit(made, json, made.conf_data.rstrip("\n"))


@app.command("revoke")
def revoke(backend: BackendName, json: Json = False) -> None:
    """Withdraw a backend's lease: it gets no configuration any more, and keeps the addresses."""
    with session.client() as client:
        client.revoke_lease(backend)
    done(json)


@app.command("restore")
def restore(backend: BackendName, json: Json = False) -> None:
    """Put a revoked lease in force again, with the same addresses; the backend gets a configuration when it asks."""
    with session.client() as client:
        client.restore_lease(backend)
    done(json)
