"""What `get_vpn_conf` is answered, on a real store and a real key file."""

from __future__ import annotations

import asyncio
import base64
import stat
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET, UnsetType

from quix.exits import Exit, QuixError
from quix.server.fleet import Fleet
from quix.server.metrics import Metrics
from quix.server.settings import VpnSettings, WireGuardSettings
from quix.server.vpn import Vpn
from quix.store import Store
from quix.vpn.wireguard import generate_keys, keys_of
from quix.wire.messages import GetVpnConf, GetVpnConfByKey, VpnConf
from quix.wire.reasons import Reason, Refusal

ASK = GetVpnConf(conf_type="wireguard", tun_mode="udp")


def settings(pool4: str = "10.83.0.0/16", *, enabled: bool = True, **more: Any) -> VpnSettings:
    return VpnSettings(
        wireguard=WireGuardSettings(enabled=enabled, endpoint="vpn.example:51820", pool4=pool4, device="none", **more)
    )


def make(chosen: VpnSettings, store: Store, folder: Path) -> Vpn:
    return Vpn(chosen, store, folder, Fleet(Metrics(), 1.0))


@pytest.fixture
def vpn(store: Store, tmp_path: Path) -> Vpn:
    return make(settings(), store, tmp_path)


async def enrol(store: Store) -> str:
    return (await store.backends.create("ada", "192.0.2.1")).id


def fields(conf: VpnConf) -> dict[str, str]:
    assert conf.conf_type == "wireguard"
    return dict(line.split(" = ", 1) for line in conf.conf_data.splitlines() if " = " in line)


async def refusal(vpn: Vpn, backend_id: str, request: GetVpnConf | GetVpnConfByKey = ASK) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await vpn.configuration(backend_id, request)
    return caught.value


async def test_a_configuration_is_complete(vpn: Vpn, store: Store, tmp_path: Path) -> None:
    found = fields(await vpn.configuration(await enrol(store), ASK))
    server = keys_of((tmp_path / "wireguard.key").read_text().strip())
    private = found.pop("PrivateKey")
    assert len(base64.b64decode(found.pop("PresharedKey"))) == 32
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
    assert first.pop("PresharedKey") != second.pop("PresharedKey")
    assert first == second


async def test_no_secret_of_a_backend_is_stored_in_clear(vpn: Vpn, store: Store, tmp_path: Path) -> None:
    conf = fields(await vpn.configuration(await enrol(store), ASK))
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert keys_of(conf["PrivateKey"]).public.encode() in written
    for secret in (conf["PrivateKey"], conf["PresharedKey"]):
        assert secret.encode() not in written
        assert base64.b64decode(secret) not in written


async def test_the_key_that_opens_pre_shared_keys_is_its_owners(vpn: Vpn, store: Store, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "vpn.key").stat().st_mode) == 0o600


async def test_isolated_backends_are_told_of_the_server_alone(store: Store, tmp_path: Path) -> None:
    vpn = make(settings(topology="isolated"), store, tmp_path)
    found = fields(await vpn.configuration(await enrol(store), ASK))
    assert found["AllowedIPs"] == "10.83.0.1/32, fd83:7175:6978::1/128"


# -- a key of the backend's own (extension `vpn`) ---------------------------------------------------


def by_key(public_key: str) -> GetVpnConfByKey:
    return GetVpnConfByKey(conf_type="wireguard", tun_mode="udp", public_key=public_key)


async def test_a_configuration_for_a_key_of_its_own_has_no_private_key(vpn: Vpn, store: Store) -> None:
    public = generate_keys().public
    found = fields(await vpn.configuration(await enrol(store), by_key(public)))
    assert "PrivateKey" not in found
    assert "PresharedKey" in found
    (lease,) = await vpn.page(None, 10)
    assert lease.public_key == public


async def test_asking_again_with_the_same_key_changes_nothing(vpn: Vpn, store: Store) -> None:
    backend, request = await enrol(store), by_key(generate_keys().public)
    first = await vpn.configuration(backend, request)
    leases = await vpn.page(None, 10)
    assert (await vpn.configuration(backend, request)).conf_data == first.conf_data
    assert await vpn.page(None, 10) == leases


async def test_another_key_comes_with_another_pre_shared_key(vpn: Vpn, store: Store) -> None:
    backend = await enrol(store)
    first, second = [fields(await vpn.configuration(backend, by_key(generate_keys().public))) for _ in range(2)]
    assert first["Address"] == second["Address"]
    assert first["PresharedKey"] != second["PresharedKey"]


async def test_a_key_of_another_backend_is_refused(vpn: Vpn, store: Store, tmp_path: Path) -> None:
    """A WireGuard interface knows peers by their keys alone: it would take the other's place."""
    request = by_key(generate_keys().public)
    first, second = await enrol(store), await enrol(store)
    await vpn.configuration(first, request)
    before = await vpn.page(None, 10)
    refused = await refusal(vpn, second, request)
    assert (refused.reason, refused.detail) == (Reason.REQUEST_INVALID, "msg.public_key: it is another backend's")
    assert [lease.public_key for lease in await vpn.page(None, 10)] == [before[0].public_key, None]
    server = keys_of((tmp_path / "wireguard.key").read_text().strip()).public
    assert (await refusal(vpn, second, by_key(server))).reason is Reason.REQUEST_INVALID


async def test_a_pre_shared_key_that_cannot_be_opened_is_made_anew(vpn: Vpn, store: Store, tmp_path: Path) -> None:
    backend, request = await enrol(store), by_key(generate_keys().public)
    first = fields(await vpn.configuration(backend, request))
    (tmp_path / "vpn.key").unlink()
    again = make(settings(), store, tmp_path)
    assert await again.peers() == ""
    second = fields(await again.configuration(backend, request))
    assert first["PresharedKey"] != second["PresharedKey"]
    assert f"PresharedKey = {second['PresharedKey']}\n" in await again.peers()


async def test_the_peer_sections_are_of_those_in_force(vpn: Vpn, store: Store) -> None:
    first, second = await enrol(store), await enrol(store)
    confs = [fields(await vpn.configuration(backend, by_key(generate_keys().public))) for backend in (first, second)]
    await vpn.revoke(second)
    (kept, _) = await vpn.page(None, 10)
    assert await vpn.peers() == (
        f"[Peer]\nPublicKey = {kept.public_key}\nPresharedKey = {confs[0]['PresharedKey']}\n"
        "AllowedIPs = 10.83.0.2/32, fd83:7175:6978::2/128\n"
    )


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
    vpn = make(settings(enabled=False), store, tmp_path)
    backend = await enrol(store)
    refused = await refusal(vpn, backend)
    assert (refused.reason, refused.detail) == (Reason.VPN_UNAVAILABLE, "this server offers no wireguard")
    wrong = GetVpnConf(conf_type="wireguard", tun_mode="tcp")
    assert (await refusal(vpn, backend, wrong)).reason is Reason.TUN_MODE_INVALID
    openvpn = GetVpnConf(conf_type="openvpn", tun_mode="tcp")
    assert (await refusal(vpn, backend, openvpn)).detail == "this server offers no openvpn"
    assert not (tmp_path / "wireguard.key").exists()


async def test_a_full_pool_is_said_so(store: Store, tmp_path: Path) -> None:
    vpn = make(settings("10.83.0.0/30"), store, tmp_path)
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
    first = fields(await make(settings(), store, tmp_path).configuration(backend, ASK))
    second = fields(await make(settings(), store, tmp_path).configuration(backend, ASK))
    assert first["PublicKey"] == second["PublicKey"]
    assert stat.S_IMODE((tmp_path / "wireguard.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "no key", "AAAA\n", "\xff" * 44])
def test_a_key_file_that_is_no_key(store: Store, tmp_path: Path, content: str) -> None:
    path = tmp_path / "wireguard.key"
    path.touch(0o600)
    path.write_text(content)
    with pytest.raises(QuixError, match=r"wireguard\.key: a WireGuard key .*; restore it") as caught:
        make(settings(), store, tmp_path)
    assert caught.value.code is Exit.CONFIG
    assert path.read_text() == content


def test_a_key_file_that_others_may_read(store: Store, tmp_path: Path) -> None:
    make(settings(), store, tmp_path)
    (tmp_path / "wireguard.key").chmod(0o640)
    with pytest.raises(QuixError, match="chmod 600"):
        make(settings(), store, tmp_path)


def test_a_key_file_that_cannot_be_read_or_made(store: Store, tmp_path: Path) -> None:
    (tmp_path / "wireguard.key").mkdir()
    with pytest.raises(QuixError, match="Is a directory"):
        make(settings(), store, tmp_path)
    with pytest.raises(QuixError, match="Not a directory"):
        make(settings(), store, tmp_path / "quix.db")
    with pytest.raises(QuixError, match="No such file or directory"):
        make(settings(), store, Path("/proc/quix"))


def test_a_pool_that_is_none(store: Store, tmp_path: Path) -> None:
    with pytest.raises(QuixError, match=r"^vpn\.wireguard\.pool4: "):
        make(settings("10.83.0.1/16"), store, tmp_path)
