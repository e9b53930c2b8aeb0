"""What `get_vpn_conf` is answered for openvpn, on a real store and real files; the daemons are somebody else's."""

from __future__ import annotations

import re
import stat
import sys
from pathlib import Path

import pytest
from cryptography import x509

from harness.lan import run
from quix.agent.openvpn_conf import completed, fingerprint
from quix.agent.vpn_conf import objection
from quix.exits import Exit, QuixError
from quix.server.openvpn import OpenVpn
from quix.server.settings import OpenVpnSettings
from quix.store import Store
from quix.store.leases import Lease
from quix.vpn.openvpn import MODES, Mode, admitted
from quix.wire.reasons import Reason, Refusal


def settings(pool4: str = "10.84.0.0/16", **more: str) -> OpenVpnSettings:
    return OpenVpnSettings(enabled=True, endpoint="vpn.example:1194", daemon="none", pool4=pool4, **more)  # type: ignore[arg-type]


@pytest.fixture
def openvpn(store: Store, tmp_path: Path) -> OpenVpn:
    return OpenVpn(settings(), store.leases, tmp_path)


async def enrol(store: Store) -> str:
    return (await store.backends.create("ada", "192.0.2.1")).id


async def profile(openvpn: OpenVpn, backend: str, mode: Mode = "udp", held: str | None = None) -> str:
    answer = await openvpn.configuration(backend, mode, held)
    assert answer.conf_type == "openvpn"
    return answer.conf_data


def certificate(text: str) -> x509.Certificate:
    found = re.search(r"<cert>\n(.*?)</cert>", text, re.DOTALL)
    assert found is not None
    return x509.load_pem_x509_certificate(found[1].encode())


def withdrawn(folder: Path) -> set[int]:
    crl = x509.load_pem_x509_crl((folder / "openvpn/jail/crl.pem").read_bytes())
    return {entry.serial_number for entry in crl}


def client(folder: Path, backend: str, mode: Mode = "udp") -> list[str]:
    """What the daemon is told of a backend; empty where that may not connect."""
    path = folder / "openvpn/jail" / f"clients-{mode}" / backend
    return path.read_text().splitlines()[1:] if path.exists() else []


async def lease(store: Store, backend: str) -> Lease:
    found = await store.leases.get(backend, "openvpn")
    assert found is not None
    return found


@pytest.mark.parametrize("mode", MODES)
async def test_a_profile_is_complete_and_our_own_agent_takes_it(openvpn: OpenVpn, store: Store, mode: Mode) -> None:
    text = await profile(openvpn, await enrol(store), mode)
    lines = text.splitlines()
    assert {f"proto {mode}", "remote vpn.example 1194", "client", "remote-cert-tls server"} <= set(lines)
    for name in ("ca", "cert", "key", "tls-crypt-v2"):
        assert f"<{name}>" in lines
        assert f"</{name}>" in lines
    assert objection("openvpn", text) is None


async def test_addresses_are_those_of_the_lease_and_over_tcp_of_the_other_half(
    openvpn: OpenVpn, store: Store, tmp_path: Path
) -> None:
    backend = await enrol(store)
    await profile(openvpn, backend)
    held = await lease(store, backend)
    assert (held.address4, held.address6) == ("10.84.0.2", "fd83:7175:6978:1::2")
    assert client(tmp_path, backend) == [
        "ifconfig-push 10.84.0.2 255.255.128.0",
        "ifconfig-ipv6-push fd83:7175:6978:1::2/65 fd83:7175:6978:1::1",
    ]
    await profile(openvpn, backend, "tcp")
    assert client(tmp_path, backend) == []
    assert client(tmp_path, backend, "tcp") == [
        "ifconfig-push 10.84.128.2 255.255.128.0",
        "ifconfig-ipv6-push fd83:7175:6978:1:8000::2/65 fd83:7175:6978:1:8000::1",
    ]
    now = await lease(store, backend)
    assert (now.address4, now.address6, now.issued_at) == (held.address4, held.address6, held.issued_at)


async def test_asking_again_withdraws_the_certificate_before(openvpn: OpenVpn, store: Store, tmp_path: Path) -> None:
    backend = await enrol(store)
    first, second = [certificate(await profile(openvpn, backend)) for _ in range(2)]
    assert withdrawn(tmp_path) == {first.serial_number}
    assert first.subject == second.subject
    assert backend in first.subject.rfc4514_string()
    again = OpenVpn(settings(), store.leases, tmp_path)
    await profile(again, backend)
    assert withdrawn(tmp_path) == {first.serial_number, second.serial_number}


async def test_who_holds_the_certificate_in_force_keeps_it(openvpn: OpenVpn, store: Store, tmp_path: Path) -> None:
    backend = await enrol(store)
    held = await profile(openvpn, backend)
    short = await profile(openvpn, backend, held=fingerprint(held))
    assert "<key>" not in short
    assert "<cert>" not in short
    assert completed(short, held).split("<cert>")[1] == held.split("<cert>")[1]
    assert withdrawn(tmp_path) == set()
    other = await profile(openvpn, backend, "tcp", held=fingerprint(held))
    assert withdrawn(tmp_path) == {certificate(held).serial_number}
    assert "<key>" in await profile(openvpn, backend, "tcp", held=fingerprint(held))
    assert certificate(other).serial_number in withdrawn(tmp_path)


async def test_no_private_key_of_a_backend_is_kept(openvpn: OpenVpn, store: Store, tmp_path: Path) -> None:
    text = await profile(openvpn, await enrol(store))
    (key,) = re.findall(r"<key>\n-+BEGIN PRIVATE KEY-+\n(\S+)\n", text)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert key.encode() not in written
    assert (fingerprint(text) or "").encode() in written


async def test_who_is_forgotten_may_not_connect(openvpn: OpenVpn, store: Store, tmp_path: Path) -> None:
    backend = await enrol(store)
    serial = certificate(await profile(openvpn, backend)).serial_number
    await store.leases.revoke(backend, "openvpn")
    await openvpn.forget(backend)
    assert withdrawn(tmp_path) == {serial}
    assert client(tmp_path, backend) == []
    with pytest.raises(Refusal) as caught:
        await profile(openvpn, backend)
    assert caught.value.reason is Reason.VPN_UNAVAILABLE
    await store.leases.restore(backend, "openvpn")
    assert certificate(await profile(openvpn, backend)).serial_number not in withdrawn(tmp_path)


async def test_what_happened_while_no_server_ran_counts_at_the_next_start(
    openvpn: OpenVpn, store: Store, tmp_path: Path
) -> None:
    stays, revoked, removed = [await enrol(store) for _ in range(3)]
    serials = [certificate(await profile(openvpn, each)).serial_number for each in (stays, revoked, removed)]
    await store.leases.revoke(revoked, "openvpn")
    await store.backends.remove(removed)
    again = OpenVpn(settings("10.90.0.0/24"), store.leases, tmp_path)
    async with again.running():
        assert withdrawn(tmp_path) == set(serials[1:])
        assert [client(tmp_path, each) for each in (revoked, removed)] == [[], []]
        assert client(tmp_path, stays)[0] == f"ifconfig-push {(await lease(store, stays)).address4} 255.255.255.128"
        assert (await lease(store, stays)).address4.startswith("10.90.0.")
        path = tmp_path / "openvpn/jail/clients-udp" / stays
        written = admitted(path.read_text())
        assert written is not None
        assert written.fingerprint == (await lease(store, stays)).public_key


async def test_what_is_written_for_a_daemon_of_somebody_elses(openvpn: OpenVpn, store: Store, tmp_path: Path) -> None:
    async with openvpn.running():
        pass
    folder = tmp_path / "openvpn"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert {name for name, mode in modes.items() if mode == 0o600} == {
        "ca.key",
        "tls-crypt.key",
        "udp.conf",
        "tcp.conf",
    }
    assert stat.S_IMODE((folder / "jail/crl.pem").stat().st_mode) == 0o644
    for name in ("udp.conf", "tcp.conf"):
        text = (folder / name).read_text()
        assert "client-to-client" in text
        assert f'chroot "{folder}/jail"' in text
    isolated = OpenVpn(settings(topology="isolated"), store.leases, tmp_path)
    async with isolated.running():
        assert "client-to-client" not in (folder / "udp.conf").read_text()
    assert "route " not in await profile(isolated, await enrol(store))


async def test_a_full_half_is_said_so(store: Store, tmp_path: Path) -> None:
    openvpn = OpenVpn(settings("10.84.0.0/29"), store.leases, tmp_path)
    await profile(openvpn, await enrol(store))
    with pytest.raises(Refusal) as caught:
        await profile(openvpn, await enrol(store))
    assert caught.value.reason is Reason.ADDRESSES_EXHAUSTED


@pytest.mark.parametrize("path", ["ca.crt", "jail/crl.pem"])
def test_a_file_that_is_gone_is_not_made_anew(openvpn: OpenVpn, store: Store, tmp_path: Path, path: str) -> None:
    (tmp_path / "openvpn" / path).unlink()
    with pytest.raises(QuixError, match="restore it from a backup") as caught:
        OpenVpn(settings(), store.leases, tmp_path)
    assert caught.value.code is Exit.CONFIG


def test_a_key_that_others_may_read(openvpn: OpenVpn, store: Store, tmp_path: Path) -> None:
    (tmp_path / "openvpn/ca.key").chmod(0o644)
    with pytest.raises(QuixError, match="chmod 600"):
        OpenVpn(settings(), store.leases, tmp_path)


@pytest.mark.parametrize("pool4", ["10.84.0.0/30", "10.84.0.1/16", "0.0.0.0/8"])
def test_a_pool_that_is_none(store: Store, tmp_path: Path, pool4: str) -> None:
    with pytest.raises(QuixError, match=r"^vpn\.openvpn\.pool4"):
        OpenVpn(settings(pool4), store.leases, tmp_path)


LACKING = """
import asyncio, sys
from pathlib import Path
from quix import logs
from quix.server.openvpn import OpenVpn
from quix.server.settings import OpenVpnSettings
from quix.store import Store
from quix.wire.reasons import Refusal

async def main(folder):
    store = await Store.open(f"sqlite+aiosqlite:///{folder / 'quix.db'}")
    openvpn = OpenVpn(OpenVpnSettings(enabled=True), store.leases, folder)
    backend = await store.backends.create("ada", "192.0.2.1")
    async with openvpn.running():
        try:
            await openvpn.configuration(backend.id, "udp", None)
        except Refusal as refusal:
            print(refusal.reason, refusal.detail)
    await store.close()

logs.setup()
asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.root
def test_without_the_right_to_it_the_server_says_what_it_lacks(tmp_path: Path) -> None:
    words = ["setpriv", "--inh-caps=-net_admin", "--bounding-set=-net_admin", sys.executable, "-c", LACKING]
    said = run(*words, tmp_path)
    assert said.startswith("vpn_unavailable the server's OpenVPN is not up: the server lacks the right to set up")
