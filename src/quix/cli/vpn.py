"""`quix vpn`: leases, configurations and tunnels."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from quix.cli import render, session
from quix.cli.backends import BackendName
from quix.cli.output import Json, done, emit

app = typer.Typer(help="VPN leases, configurations and tunnels.", no_args_is_help=True)

ConfType = Annotated[str, typer.Option("--type", help="wireguard or openvpn.")]
Qr = Annotated[bool, typer.Option("--qr", help="Print a QR code, for a phone's camera.")]


@app.command("ls")
def ls(json: Json = False) -> None:
    """List the leases."""
    with session.client() as client:
        found = [*client.leases()]
        names = {} if json else {backend.id: backend.name for backend in client.backends()}
    emit(found, json, render.leases(found, names, time.time()))


@app.command("conf")
def conf(
    backend: BackendName,
    conf_type: ConfType = "wireguard",
    tun_mode: Annotated[str, typer.Option("--mode", help="udp or tcp; always udp for wireguard.")] = "udp",
    qr: Qr = False,
    json: Json = False,
) -> None:
    """Make a configuration, private key included; one that was handed out before ends to work."""
    with session.client() as client:
        made = client.vpn_configuration(backend, conf_type, tun_mode)
    emit(made, json, _qr(made.conf_data) if qr else made.conf_data.rstrip("\n"))


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is to be called.")],
    qr: Qr = False,
    json: Json = False,
) -> None:
    """Add a phone or a laptop that runs no agent, and make its WireGuard configuration; `quix rm` removes it."""
    with session.client() as client:
        made = client.vpn_configuration(client.add_backend(name).id)
    emit(made, json, _qr(made.conf_data) if qr else made.conf_data.rstrip("\n"))


@app.command("up")
def up(backend: BackendName, conf_type: ConfType = "wireguard", json: Json = False) -> None:
    """Have a backend's agent bring its tunnel up, and keep it so."""
    _change(backend, "up", conf_type, json)


@app.command("down")
def down(backend: BackendName, conf_type: ConfType = "wireguard", json: Json = False) -> None:
    """Have a backend's agent take its tunnel down, and keep it so."""
    _change(backend, "down", conf_type, json)


@app.command("rotate")
def rotate(backend: BackendName, conf_type: ConfType = "wireguard", json: Json = False) -> None:
    """Have a backend's agent take new keys for its tunnel, which goes on with them."""
    _change(backend, "rotate", conf_type, json)


def _change(backend: str, change: str, conf_type: str, json: bool) -> None:
    with session.client() as client:
        client.change_tunnel(backend, change, conf_type)
    done(json)


@app.command("peers")
def peers(json: Json = False) -> None:
    """Print the peer sections of all backends, for a WireGuard server that Quix does not run; they hold secrets."""
    with session.client() as client:
        found = client.vpn_peers()
    emit({"conf_data": found}, json, found.rstrip("\n"))


@app.command("revoke")
def revoke(backend: BackendName, conf_type: ConfType = "wireguard", json: Json = False) -> None:
    """Withdraw a backend's lease: its tunnel ends, it gets no configuration any more, and keeps the addresses."""
    with session.client() as client:
        client.revoke_lease(backend, conf_type)
    done(json)


@app.command("restore")
def restore(backend: BackendName, conf_type: ConfType = "wireguard", json: Json = False) -> None:
    """Put a revoked lease in force again, with the same addresses; the backend gets a configuration when it asks."""
    with session.client() as client:
        client.restore_lease(backend, conf_type)
    done(json)


def _qr(text: str) -> str:
    """Return a QR code in half blocks, as a terminal shows it."""
    import io

    import segno

    drawn = io.StringIO()
    segno.make_qr(text, error="l").terminal(drawn, compact=True)
    return drawn.getvalue().rstrip("\n")
