"""Whether an interface is WireGuard's, and which host it leads to."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from quix import logs

log = logs.get(__name__)

_SOCKETS: Final = Path("/var/run/wireguard")
"""Where userspace implementations listen (https://www.wireguard.com/xplatform/)."""

_PATIENCE: Final = 1.0
_LARGEST_ANSWER: Final = 2**20


class Remote(Struct, frozen=True):
    """A peer of the interface: `key` its public key in base64, `address` where it was last heard from or is
    expected ('' where unknown), `handshake` the time of the last handshake in seconds since 1970, or 0."""

    key: str
    address: str
    handshake: int


def saved(folder: Path, name: str) -> Path:
    """Return where the agent's own configuration for the interface `name` is, or would be, kept."""
    return folder / f"{name}.conf"


def host(name: str, folder: Path) -> str | None:
    """Return the host that the interface `name` leads to; '' where that is not known, None where it is not WireGuard's.

    The host is named as in the configuration in `folder` where one exists for a peer of this interface, else by
    its address.
    """
    if _is_kernel(name):
        remotes = _kernel_remotes(name)
    elif _has_socket(name) and Path(f"/sys/class/net/{name}/tun_flags").exists():
        try:
            remotes = _userspace_remotes(_SOCKETS / f"{name}.sock")
        except (ConnectionRefusedError, FileNotFoundError):
            return None  # left behind by one that is no more
    else:
        return None
    return choose_host(remotes, _saved_hosts(saved(folder, name)))


def choose_host(remotes: Iterable[Remote] | None, names: dict[str, str]) -> str:
    """Return the host of the peer that was heard from last; `names` are the hosts of a configuration, by public key.

    `remotes` is None where the interface does not tell: then the configuration of the same name is believed.
    """
    if remotes is None:
        return next(iter(names.values()), "")
    for remote in sorted(remotes, key=lambda remote: -remote.handshake):
        if found := names.get(remote.key) or remote.address:
            return found
    return ""


def _is_kernel(name: str) -> bool:
    try:
        return "DEVTYPE=wireguard\n" in Path(f"/sys/class/net/{name}/uevent").read_text()
    except OSError:
        return False


def _has_socket(name: str) -> bool:
    try:
        return (_SOCKETS / f"{name}.sock").is_socket()
    except PermissionError:
        return False


def _kernel_remotes(name: str) -> list[Remote] | None:
    try:
        # Costs some 10 MB of memory, so only where there is a kernel interface to ask about.
        from pyroute2 import WireGuard  # type: ignore[import-untyped]
        from pyroute2.netlink.exceptions import NetlinkError  # type: ignore[import-untyped]
    except ImportError:
        log.debug("pyroute2 is not installed: the endpoint stays unknown", ifname=name)
        return None
    try:
        with WireGuard() as wireguard:
            return remotes_of_messages(wireguard.info(name))
    except (NetlinkError, OSError) as error:
        log.debug("kernel does not tell the endpoint", ifname=name, error=str(error))
        return None


def remotes_of_messages(messages: Iterable[Any]) -> list[Remote]:
    """Return the peers in the answers to WG_CMD_GET_DEVICE (linux/wireguard.h), as pyroute2 decodes them."""
    found = []
    for message in messages:
        for peer in message.get_attr("WGDEVICE_A_PEERS") or ():
            key = peer.get_attr("WGPEER_A_PUBLIC_KEY").decode()
            endpoint = peer.get_attr("WGPEER_A_ENDPOINT")
            handshake = peer.get_attr("WGPEER_A_LAST_HANDSHAKE_TIME")
            address = "" if endpoint is None else endpoint["addr"]
            found.append(Remote(key, address, 0 if handshake is None else handshake["tv_sec"]))
    return found


def _userspace_remotes(path: Path) -> list[Remote] | None:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(_PATIENCE)
            link.connect(str(path))
            link.sendall(b"get=1\n\n")
            return remotes_of_text(_read_answer(link))
    except (PermissionError, TimeoutError) as error:
        log.debug("WireGuard does not tell the endpoint", socket=str(path), error=str(error))
        return None


def _read_answer(link: socket.socket) -> str:
    answer = bytearray()
    while not answer.endswith(b"\n\n") and len(answer) < _LARGEST_ANSWER:
        piece = link.recv(65536)
        if not piece:
            break
        answer += piece
    return answer.decode(errors="replace")


def remotes_of_text(answer: str) -> list[Remote]:
    """Return the peers in an answer to `get=1`. The answer holds private keys: nothing else of it is kept."""
    found = []
    for part in answer.split("public_key=")[1:]:
        key, *lines = part.splitlines()
        values = dict(line.split("=", 1) for line in lines if "=" in line)
        handshake = int(values.get("last_handshake_time_sec", "0"))
        found.append(
            Remote(base64.b64encode(bytes.fromhex(key)).decode(), host_part(values.get("endpoint", "")), handshake)
        )
    return found


def _saved_hosts(path: Path) -> dict[str, str]:
    """Return the endpoints' hosts in a configuration file, by the peer's public key; none where there is no file."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return {}
    found = {}
    for section in text.split("[Peer]")[1:]:
        pairs = (line.partition("#")[0].partition("=") for line in section.splitlines())
        values = {key.strip().lower(): value.strip() for key, _, value in pairs}
        if host_name := host_part(values.get("endpoint", "")):
            found[values.get("publickey", "")] = host_name
    return found


def host_part(endpoint: str) -> str:
    """Return HOST of HOST:PORT or [IPV6]:PORT.

    >>> host_part("th1.s.quix.click:51820"), host_part("[2001:db8::1]:51820")
    ('th1.s.quix.click', '2001:db8::1')
    """
    return endpoint.rpartition(":")[0].strip("[]")
