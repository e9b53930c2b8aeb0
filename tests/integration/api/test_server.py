"""What a machine has to know to enrol."""

from __future__ import annotations

from pathlib import Path

from harness.api import Place, place
from quix import __version__
from quix.server.certificate import fingerprint_of
from quix.store.users import Role


async def test_it_says_where_agents_dial_in(there: Place) -> None:
    viewer = await there.login(Role.VIEWER)
    assert (await viewer.get("/server")).json() == {
        "version": __version__,
        "listen": there.control.settings.listen,
        "tls": False,
        "tls_fingerprint": None,
        "vpn": ["wireguard"],
    }


async def test_it_says_what_agents_pin(tmp_path: Path) -> None:
    async with place(tmp_path / "server", tls_self_signed=True) as there:
        viewer = await there.login(Role.VIEWER)
        told = (await viewer.get("/server")).json()
        assert told["tls"] is True
        assert told["tls_fingerprint"] == fingerprint_of(tmp_path / "server" / "tls" / "self-signed.crt")
