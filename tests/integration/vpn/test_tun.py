"""Whose a tun device is, in a network namespace."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.namespaces import Namespace

pytestmark = pytest.mark.root

MAKE = """
from quix.vpn.tools import ToolError
from quix.vpn.tun import Tun
tun = Tun("qxt0", "quix server /somewhere")
try:
    tun.make()
    print("ours" if tun.is_ours() else "nobody's")
except ToolError as error:
    print(error)
"""


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Namespace]:
    namespace = Namespace(tmp_path)
    yield namespace
    namespace.end()


def make(namespace: Namespace) -> str:
    return namespace.run(sys.executable, "-c", MAKE).strip()


def test_one_that_was_half_made_becomes_ours(namespace: Namespace) -> None:
    """We may be killed between the two commands that make it."""
    namespace.run("ip", "tuntap", "add", "dev", "qxt0", "mode", "tun")
    assert make(namespace) == "ours"
    assert make(namespace) == "ours"


@pytest.mark.parametrize(
    "commands",
    [
        ["tuntap add dev qxt0 mode tun", "link set dev qxt0 alias mine"],
        ["tuntap add dev qxt0 mode tun", "address add 10.1.1.1/24 dev qxt0"],
        ["tuntap add dev qxt0 mode tun", "link set dev qxt0 up"],
        ["tuntap add dev qxt0 mode tap"],
        ["link add qxt0 type veth peer name far"],
    ],
    ids=["alias", "address", "up", "tap", "veth"],
)
def test_one_of_somebody_elses_stays_so(namespace: Namespace, commands: list[str]) -> None:
    for command in commands:
        namespace.run("ip", *command.split())
    assert make(namespace) == "there is an interface qxt0 already, of somebody else's"
