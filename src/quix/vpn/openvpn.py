"""OpenVPN's configuration files, as openvpn(8) 2.6 reads them: the server's, a backend's, and what the server is told
of each backend."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from quix.vpn.authority import Certificate
from quix.vpn.pool import Pool
from quix.vpn.tools import has_ipv6

Mode = Literal["udp", "tcp"]
MODES: Final[tuple[Mode, Mode]] = ("udp", "tcp")

_MOST_CLIENTS: Final = 65535
"""openvpn makes room for all of them when it starts."""


class Service(Struct, frozen=True, kw_only=True):
    """One daemon: what it listens to, and the network behind it.

    `folder` holds its configuration and its management socket; `jail` is all that it sees after the start: the list of
    withdrawn certificates, and for each backend a file `clients-MODE/ID`. `unprivileged` is the user and group it
    becomes, None where whoever starts it has no right to change either. `is_hub`: whether backends reach each other, of
    the `whole` pool.
    """

    mode: Mode
    port: int
    interface: str
    pool: Pool
    whole: Pool
    folder: Path
    jail: Path
    unprivileged: tuple[str, str] | None
    is_hub: bool

    @property
    def conf(self) -> Path:
        return self.folder / f"{self.mode}.conf"

    @property
    def socket(self) -> Path:
        """The daemon's management interface."""
        return self.folder / f"{self.mode}.sock"

    @property
    def clients(self) -> Path:
        return self.jail / f"clients-{self.mode}"

    def client(self, address4: IPv4Address, address6: IPv6Address, admitted: Admitted) -> str:
        """Return the file of a backend: its addresses, and as a remark what it is admitted with."""
        return (
            f"# {admitted.serial} {admitted.fingerprint}\n"
            f"ifconfig-push {address4} {self.pool.network4.netmask}\n"
            f"ifconfig-ipv6-push {address6}/{self.pool.network6.prefixlen} {self.pool.server6}\n"
        )


class Admitted(Struct, frozen=True):
    """The certificate that a backend may connect with (see `Certificate`)."""

    serial: str
    fingerprint: str


def admitted(client: str) -> Admitted | None:
    """Return what `Service.client` put into a backend's file; None where somebody else wrote it."""
    said = re.match(r"# ([0-9a-f]+) ([A-Za-z0-9+/=]+)\n", client)
    return None if said is None else Admitted(said[1], said[2])


def server_conf(service: Service, identity: Certificate, ca: str, crypt: str) -> str:
    """Return the configuration of a daemon; it holds private keys. `crypt` is the tls-crypt-v2 key.

    Paths are the service's own. Those of `crl-verify` and `client-config-dir` are as the daemon finds them in its jail.
    """
    pool, root = service.pool, "" if service.unprivileged else f"{service.jail}"
    lines = [
        "# Written by Quix at each start of its server; changes are lost.",
        "mode server",
        "tls-server",
        f"proto {_protocol(service)}",
        f"port {service.port}",
        f"dev {service.interface}",
        "dev-type tun",
        # What backends may do to each other is not the same where the kernel carries the packets.
        "disable-dco",
        "topology subnet",
        f"ifconfig {pool.server4} {pool.network4.netmask}",
        *([f"ifconfig-ipv6 {pool.server6}/{pool.network6.prefixlen} {pool.server6 + 1}"] if has_ipv6() else []),
        'push "topology subnet"',
        f'push "route-gateway {pool.server4}"',
        *(["client-to-client"] if service.is_hub else []),
        f"max-clients {min(pool.capacity, _MOST_CLIENTS)}",
        f"client-config-dir {_quoted(f'{root}/{service.clients.name}')}",
        "ccd-exclusive",
        "keepalive 5 20",
        "persist-key",
        "persist-tun",
        *(["explicit-exit-notify 1"] if service.mode == "udp" else ["tcp-nodelay"]),
        "dh none",
        "remote-cert-tls client",
        "tls-version-min 1.2",
        f"crl-verify {_quoted(f'{root}/crl.pem')}",
        f"tmp-dir {_quoted(f'{root}/tmp')}",  # noqa: S108 - within the jail
        f"management {_quoted(str(service.socket))} unix",
        "script-security 1",
        "verb 1",
        "mute 20",
        "suppress-timestamps",
    ]
    if service.unprivileged:
        user, group = service.unprivileged
        lines += [f"user {user}", f"group {group}", f"chroot {_quoted(str(service.jail))}"]
    return "\n".join(lines) + "\n" + _inlined({"ca": ca, **owned(identity, crypt)})


def _protocol(service: Service) -> str:
    """Return what takes IPv4 and IPv6 alike, where the machine has the latter."""
    family = "6" if has_ipv6() else ""
    return f"udp{family}" if service.mode == "udp" else f"tcp{family}-server"


def client_conf(service: Service, endpoint: str, ca: str, own: Mapping[str, str]) -> str:
    """Return a backend's profile. `endpoint` is HOST:PORT of the daemon, `own` what is this backend's own (`owned`);
    with all of that the profile is one file that holds everything, for any openvpn from 2.5 on.

    It is for other systems as well, so the interface has no name of its own.
    """
    host, _, port = endpoint.rpartition(":")
    lines = [
        "client",
        f"proto {service.mode}",
        f"remote {host.strip('[]')} {port}",
        "dev tun",
        "nobind",
        "persist-key",
        "persist-tun",
        "resolv-retry infinite",
        "connect-retry 2 60",
        *(["explicit-exit-notify 1"] if service.mode == "udp" else []),
        *(_routes(service) if service.is_hub else ()),
        "remote-cert-tls server",
        "tls-version-min 1.2",
        "verb 1",
    ]
    return "\n".join(lines) + "\n" + _inlined({"ca": ca, **own})


def owned(identity: Certificate, crypt: str) -> dict[str, str]:
    """Return what a profile holds for one backend alone; `crypt` is its tls-crypt-v2 key."""
    return {"cert": identity.cert, "key": identity.key, "tls-crypt-v2": crypt}


def _routes(service: Service) -> list[str]:
    whole4, whole6 = service.whole.network4, service.whole.network6
    return [f"route {whole4.network_address} {whole4.netmask}", f"route-ipv6 {whole6}"]


def _inlined(files: Mapping[str, str]) -> str:
    return "".join(f"<{name}>\n{text}</{name}>\n" for name, text in files.items())


def _quoted(path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
