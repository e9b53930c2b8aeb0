"""What `get_vpn_conf` is answered, on a real store and a real key file."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest
from msgspec import UNSET, UnsetType

from quix.exits import Exit, QuixError
from quix.server.settings import VpnSettings, WireGuardSettings
from quix.server.vpn import Vpn
from quix.store import Store
from quix.vpn.wireguard import keys_of
from quix.wire.messages import GetVpnConf, VpnConf
from quix.wire.reasons import Reason, Refusal

ASK = GetVpnConf(conf_type="wireguard", tun_mode="udp")


def settings(pool4: str = "10.83.0.0/16", *, enabled: bool = True) -> VpnSettings:
    return VpnSettings(wireguard=WireGuardSettings(enabled=enabled, endpoint="vpn.example:51820", pool4=pool4))


@pytest.fixture
def vpn(store: Store, tmp_path: Path) -> Vpn:
    return Vpn(settings(), store, tmp_path)


async def enrol(store: Store) -> str:
    return (await store.backends.create("ada", "192.0.2.1")).id


def fields(conf: VpnConf) -> dict[str, str]:
    assert conf.conf_type == "wireguard"
    return dict(line.split(" = ", 1) for line in conf.conf_data.splitlines() if " = " in line)


async def refusal(vpn: Vpn, backend_id: str, request: GetVpnConf = ASK) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await vpn.configuration(backend_id, request)
    return caught.value


async def test_a_configuration_is_complete(vpn: Vpn, store: Store, tmp_path: Path) -> None:
    found = fields(await vpn.configuration(await enrol(store), ASK))
    server = keys_of((tmp_path / "wireguard.key").read_text().strip())
    private = found.pop("PrivateKey")
    assert found == {
        "Address": "10.83.0.2/32, fd83:7175:6978::2/128",
        "PublicKey": server.public,
        "AllowedIPs": "10.83.0.0/16, fd83:7175:6978::/64",
        "Endpoint": "vpn.example:51820",
        "PersistentKeepalive": "25",
    }
    (lease,) = await vpn.page(None, 10)
    assert lease.public_key == keys_of(private).public


async def test_asking_again_gives_new_keys_for_the_same_addresses(vpn: Vpn, store: Store) -> None:
    backend = await enrol(store)
    first, second = [fields(await vpn.configuration(backend, ASK)) for _ in range(2)]
    assert first.pop("PrivateKey") != second["PrivateKey"]
    (lease,) = await vpn.page(None, 10)
    assert lease.public_key == keys_of(second.pop("PrivateKey")).public
    assert first == second


async def test_no_private_key_of_a_backend_is_stored(vpn: Vpn, store: Store, tmp_path: Path) -> None:
    private = fields(await vpn.configuration(await enrol(store), ASK))["PrivateKey"]
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert keys_of(private).public.encode() in written
    assert private.encode() not in written


async def test_many_backends_at_once_get_addresses_of_their_own(vpn: Vpn, store: Store) -> None:
    backends = [await enrol(store) for _ in range(50)]
    confs = await asyncio.gather(*(vpn.configuration(backend, ASK) for backend in backends))
    assert len({fields(conf)["Address"] for conf in confs}) == 50


@pytest.mark.parametrize(
    ("conf_type", "tun_mode", "reason"),
    [
        ("wireguard", UNSET, None),
        ("wireguard", "udp", None),
        ("wireguard", "tcp", Reason.TUN_MODE_INVALID),
        ("wireguard", "", Reason.TUN_MODE_INVALID),
        ("openvpn", "udp", Reason.VPN_UNAVAILABLE),
        ("openvpn", "tcp", Reason.VPN_UNAVAILABLE),
        ("openvpn", "sctp", Reason.TUN_MODE_INVALID),
        ("openvpn", UNSET, Reason.TUN_MODE_INVALID),
        ("ipsec", "udp", Reason.CONF_TYPE_UNKNOWN),
        ("WireGuard", "udp", Reason.CONF_TYPE_UNKNOWN),
        ("", "", Reason.CONF_TYPE_UNKNOWN),
    ],
)
async def test_what_may_be_asked_for(
    vpn: Vpn, store: Store, conf_type: str, tun_mode: str | UnsetType, reason: Reason | None
) -> None:
    backend = await enrol(store)
    request = GetVpnConf(conf_type=conf_type, tun_mode=tun_mode)
    if reason is None:
        assert (await vpn.configuration(backend, request)).conf_type == conf_type
    else:
        assert (await refusal(vpn, backend, request)).reason is reason


async def test_what_is_not_enabled_is_unavailable_but_a_wrong_mode_is_wrong(store: Store, tmp_path: Path) -> None:
    vpn = Vpn(settings(enabled=False), store, tmp_path)
    backend = await enrol(store)
    refused = await refusal(vpn, backend)
    assert (refused.reason, refused.detail) == (Reason.VPN_UNAVAILABLE, "this server offers no wireguard")
    wrong = GetVpnConf(conf_type="wireguard", tun_mode="tcp")
    assert (await refusal(vpn, backend, wrong)).reason is Reason.TUN_MODE_INVALID
    openvpn = GetVpnConf(conf_type="openvpn", tun_mode="tcp")
    assert (await refusal(vpn, backend, openvpn)).detail == "this server offers no openvpn"
    assert not (tmp_path / "wireguard.key").exists()


async def test_a_full_pool_is_said_so(store: Store, tmp_path: Path) -> None:
    vpn = Vpn(settings("10.83.0.0/30"), store, tmp_path)
    await vpn.configuration(await enrol(store), ASK)
    assert (await refusal(vpn, await enrol(store))).reason is Reason.ADDRESSES_EXHAUSTED


async def test_a_revoked_backend_gets_nothing_until_it_is_restored(vpn: Vpn, store: Store) -> None:
    backend = await enrol(store)
    before = fields(await vpn.configuration(backend, ASK))
    assert await vpn.revoke(backend) is True
    assert await vpn.revoke(backend) is False
    refused = await refusal(vpn, backend)
    assert (refused.reason, refused.detail) == (
        Reason.VPN_UNAVAILABLE,
        "this backend's VPN lease is revoked; an operator may restore it",
    )
    (lease,) = await vpn.page(None, 10)
    assert lease.revoked_at is not None
    assert lease.public_key is None
    assert await vpn.restore(backend) is True
    assert fields(await vpn.configuration(backend, ASK))["Address"] == before["Address"]


async def test_revoking_while_a_configuration_is_made(vpn: Vpn, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = await enrol(store)
    claim = store.leases.claim

    async def claim_early(*arguments: object) -> object:
        lease = await claim(*arguments)  # type: ignore[arg-type]
        await vpn.revoke(backend)
        return lease

    monkeypatch.setattr(store.leases, "claim", claim_early)
    assert (await refusal(vpn, backend)).reason is Reason.VPN_UNAVAILABLE
    (lease,) = await vpn.page(None, 10)
    assert lease.public_key is None


async def test_a_removed_backend_gets_nothing(vpn: Vpn, store: Store) -> None:
    backend = await enrol(store)
    await store.backends.remove(backend)
    assert (await refusal(vpn, backend)).detail == "this backend has been removed"


# -- the server's own key -------------------------------------------------------------------------


async def test_the_servers_key_is_made_once_and_is_its_owners(store: Store, tmp_path: Path) -> None:
    backend = await enrol(store)
    first = fields(await Vpn(settings(), store, tmp_path).configuration(backend, ASK))
    second = fields(await Vpn(settings(), store, tmp_path).configuration(backend, ASK))
    assert first["PublicKey"] == second["PublicKey"]
    assert stat.S_IMODE((tmp_path / "wireguard.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "no key", "AAAA\n", "\xff" * 44])
def test_a_key_file_that_is_no_key(store: Store, tmp_path: Path, content: str) -> None:
    path = tmp_path / "wireguard.key"
    path.touch(0o600)
    path.write_text(content)
    with pytest.raises(QuixError, match=r"wireguard\.key: a WireGuard key .*; restore it") as caught:
        Vpn(settings(), store, tmp_path)
    assert caught.value.code is Exit.CONFIG
    assert path.read_text() == content


def test_a_key_file_that_others_may_read(store: Store, tmp_path: Path) -> None:
    Vpn(settings(), store, tmp_path)
    (tmp_path / "wireguard.key").chmod(0o640)
    with pytest.raises(QuixError, match="chmod 600"):
        Vpn(settings(), store, tmp_path)


def test_a_key_file_that_cannot_be_read_or_made(store: Store, tmp_path: Path) -> None:
    (tmp_path / "wireguard.key").mkdir()
    with pytest.raises(QuixError, match="Is a directory"):
        Vpn(settings(), store, tmp_path)
    with pytest.raises(QuixError, match="Not a directory"):
        Vpn(settings(), store, tmp_path / "quix.db")
    with pytest.raises(QuixError, match="No such file or directory"):
        Vpn(settings(), store, Path("/proc/quix"))


def test_a_pool_that_is_none(store: Store, tmp_path: Path) -> None:
    with pytest.raises(QuixError, match=r"^vpn\.wireguard\.pool4: "):
        Vpn(settings("10.83.0.1/16"), store, tmp_path)
