"""WireGuard's own tools take what the server hands out, and packets pass through it (wireguard-go)."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from quix.server.fleet import Fleet
from quix.server.metrics import Metrics
from quix.server.settings import VpnSettings, WireGuardSettings
from quix.server.vpn import Vpn
from quix.store import Store
from quix.vpn.wireguard import generate_keys, keys_of
from quix.wire.messages import GetVpnConf

pytestmark = pytest.mark.root

SERVER, CLIENT = f"qvs{os.getpid()}", f"qvc{os.getpid()}"
"""Names of namespaces and of interfaces in them: a WireGuard socket is seen from every namespace."""


def run(*words: str | Path, given: str = "") -> str:
    done = subprocess.run([str(word) for word in words], input=given, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def inside(namespace: str, *words: str | Path) -> str:
    return run("ip", "netns", "exec", namespace, *words)


@pytest.fixture
def wire() -> Iterator[None]:
    """Two network namespaces with a cable between them: the server's 192.0.2.1, the backend's 192.0.2.2."""
    with contextlib.ExitStack() as stack:
        for namespace in (SERVER, CLIENT):
            run("ip", "netns", "add", namespace)
            stack.callback(run, "ip", "netns", "delete", namespace)
        run("ip", "link", "add", "eth0", "netns", SERVER, "type", "veth", "peer", "name", "eth0", "netns", CLIENT)
        for namespace, address in ((SERVER, "192.0.2.1/30"), (CLIENT, "192.0.2.2/30")):
            inside(namespace, "ip", "address", "add", address, "dev", "eth0")
            inside(namespace, "ip", "link", "set", "eth0", "up")
        yield


@contextlib.contextmanager
def interface(namespace: str, name: str) -> Iterator[None]:
    words = ["ip", "netns", "exec", namespace, "wireguard-go", "--foreground", name]
    program = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 15
        while not Path(f"/var/run/wireguard/{name}.sock").is_socket():
            assert program.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield
    finally:
        program.terminate()
        program.wait(10)


ECHO = """
import socket, sys
address = sys.argv[1]
with socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET) as server:
    print(server.getsockname()[1], flush=True)
    connection, peer = server.accept()
    with connection:
        connection.sendall(peer[0].encode() + b" " + connection.recv(100))
"""

SAY = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10) as connection:
    connection.sendall(b"hello")
    sys.stdout.write(connection.makefile().read())
"""


@contextlib.contextmanager
def echo(namespace: str, address: str) -> Iterator[str]:
    """Answer one connection with where it came from and what it said; gives the port."""
    words = ["ip", "netns", "exec", namespace, sys.executable, "-c", ECHO, address]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        try:
            yield program.stdout.readline().strip()
        finally:
            program.terminate()


async def configured(store: Store, folder: Path, backend_id: str) -> tuple[Vpn, Path]:
    wireguard = WireGuardSettings(enabled=True, endpoint="192.0.2.1:51820", device="none")
    vpn = Vpn(VpnSettings(wireguard=wireguard), store, folder, Fleet(Metrics(), 1.0))
    answer = await vpn.configuration(backend_id, GetVpnConf(conf_type="wireguard", tun_mode="udp"))
    path = folder / f"{CLIENT}.conf"
    path.touch(0o600)
    path.write_text(answer.conf_data)
    return vpn, path


def test_keys_are_those_of_wg() -> None:
    for _ in range(10):
        ours = generate_keys()
        assert run("wg", "pubkey", given=ours.private).strip() == ours.public
        theirs = run("wg", "genkey").strip()
        assert keys_of(theirs).public == run("wg", "pubkey", given=theirs).strip()


async def test_wg_sets_what_wg_quick_strips(store: Store, tmp_path: Path, wire: None) -> None:
    backend = await store.backends.create("ada", "192.0.2.2")
    _, conf = await configured(store, tmp_path, backend.id)
    (tmp_path / "stripped").write_text(run("wg-quick", "strip", conf))
    with interface(CLIENT, CLIENT):
        inside(CLIENT, "wg", "setconf", CLIENT, tmp_path / "stripped")
        _, *peers = inside(CLIENT, "wg", "show", CLIENT, "dump").splitlines()
    server_key = keys_of((tmp_path / "wireguard.key").read_text().strip()).public
    (peer,) = (line.split("\t") for line in peers)
    assert peer[0] == server_key
    assert peer[2:4] == ["192.0.2.1:51820", "10.83.0.0/16,fd83:7175:6978::/64"]
    assert peer[7] == "25"


async def test_packets_pass_between_the_backend_and_the_server(store: Store, tmp_path: Path, wire: None) -> None:
    backend = await store.backends.create("ada", "192.0.2.2")
    vpn, conf = await configured(store, tmp_path, backend.id)
    (lease,) = await vpn.page(None, 1)
    with interface(SERVER, SERVER):
        sections = await vpn.peers()
        assert f"PublicKey = {lease.public_key}" in sections
        inside(SERVER, "wg", "set", SERVER, "listen-port", "51820", "private-key", tmp_path / "wireguard.key")
        (tmp_path / "peers").write_text(sections)
        inside(SERVER, "wg", "addconf", SERVER, tmp_path / "peers")
        for address in ("10.83.0.1/16", "fd83:7175:6978::1/64"):
            inside(SERVER, "ip", "address", "add", address, "dev", SERVER)
        inside(SERVER, "ip", "link", "set", SERVER, "up")
        inside(CLIENT, "wg-quick", "up", conf)
        try:
            for address, own in (("10.83.0.1", lease.address4), ("fd83:7175:6978::1", lease.address6)):
                with echo(SERVER, address) as port:
                    assert inside(CLIENT, sys.executable, "-c", SAY, address, port) == f"{own} hello"
        finally:
            inside(CLIENT, "wg-quick", "down", conf)
