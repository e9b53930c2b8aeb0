"""Machines on one cable, each a network namespace: what happens there is seen nowhere else."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()


def run(*words: str | Path, given: str = "", seconds: float = 30) -> str:
    """Run a program to its end, which has to be a good one; return what it printed."""
    done = subprocess.run([str(word) for word in words], input=given, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


@contextlib.contextmanager
def entered(namespace: str) -> Iterator[None]:
    """Sockets that this thread opens meanwhile are in the network namespace; with no name, in our own."""
    if not namespace:
        yield
        return
    with open("/proc/thread-self/ns/net") as ours, open(f"/run/netns/{namespace}") as theirs:  # noqa: PTH123
        _enter(theirs.fileno())
        try:
            yield
        finally:
            _enter(ours.fileno())


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Machine:
    """A machine with one network card; `address` is what it has on the cable.

    Attributes:
        name: of its namespace.
        tunnel: a name for its WireGuard interface, which no other machine has: the sockets of wireguard-go are seen
            from every namespace.
    """

    def __init__(self, switch: str, address: str) -> None:
        number = f"{os.getpid()}-{next(_numbers)}"
        self.name, self.tunnel = f"qxm{number}", f"qx{number}"
        self.address = address
        run("ip", "netns", "add", self.name)
        run("ip", "-n", self.name, "link", "set", "lo", "up")
        port = f"p{number}"
        run("ip", "link", "add", "eth0", "netns", self.name, "type", "veth", "peer", "name", port, "netns", switch)
        run("ip", "-n", switch, "link", "set", port, "master", "sw0", "up")
        self.connect(address)

    def connect(self, address: str) -> None:
        """Plug in, with this address."""
        self.address = address
        self.ip("address", "flush", "dev", "eth0", "scope", "global")
        self.ip("link", "set", "eth0", "up")
        self.ip("address", "add", f"{address}/24", "dev", "eth0")

    def disconnect(self) -> None:
        self.ip("link", "set", "eth0", "down")

    def ip(self, *words: str) -> str:
        return run("ip", "-n", self.name, *words)

    def inside(self, *words: str | Path, seconds: float = 30) -> str:
        """Run a program on the machine, as `run` does."""
        return run("ip", "netns", "exec", self.name, *words, seconds=seconds)

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        """Start a program on the machine; what it prints can be read."""
        command = ["ip", "netns", "exec", self.name, *map(str, words)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def reaches(self, address: str, seconds: float = 1) -> bool:
        """Whether a ping is answered in time."""
        words = ["ip", "netns", "exec", self.name, "ping", "-n", "-c1", f"-W{seconds:g}", address]
        return subprocess.run(words, capture_output=True).returncode == 0

    def has_tunnel(self) -> bool:
        words = ["ip", "-n", self.name, "link", "show", "dev", self.tunnel]
        return subprocess.run(words, capture_output=True).returncode == 0

    def remove(self) -> None:
        """Remove the machine; wireguard-go ends with its interface."""
        subprocess.run(["ip", "-n", self.name, "link", "delete", self.tunnel], capture_output=True)
        run("ip", "netns", "delete", self.name)
        Path(f"/var/run/wireguard/{self.tunnel}.sock").unlink(missing_ok=True)


class Lan:
    """A switch, and the machines at it: 192.0.2.1 and so on."""

    def __init__(self) -> None:
        self._switch = f"qxw{os.getpid()}-{next(_numbers)}"
        self._machines: list[Machine] = []
        run("ip", "netns", "add", self._switch)
        run("ip", "-n", self._switch, "link", "add", "sw0", "type", "bridge")
        run("ip", "-n", self._switch, "link", "set", "sw0", "up")

    def machine(self) -> Machine:
        machine = Machine(self._switch, f"192.0.2.{len(self._machines) + 1}")
        self._machines.append(machine)
        return machine

    def remove(self) -> None:
        for machine in self._machines:
            machine.remove()
        run("ip", "netns", "delete", self._switch)
