"""Handing controllers on, in the real hierarchy of version 2, by a process whose group may hold others."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quix.supervisor import groupfs
from quix.supervisor.delegation import CONTROL, SHELTER
from quix.supervisor.hierarchies import hierarchies

pytestmark = pytest.mark.root

HAND_ON = """
import json, os, sys
from pathlib import Path
from quix.supervisor import delegation
from quix.supervisor.hierarchies import hierarchies
def own():
    return next(each for each in hierarchies() if each.version == 2)
handed_on = delegation.hand_on(own(), frozenset(sys.argv[1:]))
after = own()
print(json.dumps({
    "handed_on": sorted(handed_on), "position": str(after.position), "base": str(delegation.base(after)),
    "mount": str(after.mount), "again": sorted(delegation.hand_on(after, frozenset(sys.argv[1:]))),
}))
"""


@pytest.fixture
def controller() -> Iterator[str]:
    """A controller that groups below the root have. One test at a time: it is the root that hands it on."""
    top = next((each.mount for each in hierarchies() if each.version == 2), None)
    offered = groupfs.words(top / "cgroup.controllers") if top is not None else frozenset()
    if top is None or not offered:
        pytest.skip("this machine has no controllers of version 2")
    with Path(tempfile.gettempdir(), "quix-test-delegation.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        name = min(offered - {"cpuset"}, key=lambda name: name not in groupfs.words(top / CONTROL))
        was_on = name in groupfs.words(top / CONTROL)
        groupfs.write(top / CONTROL, f"+{name}")
        yield name
        if not was_on:
            groupfs.write(top / CONTROL, f"-{name}")


@pytest.fixture
def group(controller: str) -> Iterator[Path]:
    top = next(each.mount for each in hierarchies() if each.version == 2)
    folder = top / f"quixtest-{secrets.token_hex(6)}"
    folder.mkdir()
    yield folder
    for each in groupfs.below(folder):
        each.rmdir()


@contextlib.contextmanager
def neighbour(group: Path) -> Iterator[int]:
    """A process of somebody else's in the group."""
    with subprocess.Popen(["/bin/sleep", "1000"]) as process:
        try:
            groupfs.write(group / "cgroup.procs", process.pid)
            yield process.pid
        finally:
            process.kill()


def hand_on(group: Path, controller: str, *before: str) -> dict[str, Any]:
    """Let a process in the group hand a controller on; return what it then found."""
    entry = os.open(group / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
    try:
        done = subprocess.run(
            [*before, sys.executable, "-c", HAND_ON, controller],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            preexec_fn=lambda: os.write(entry, b"0") and None,
            stdout=subprocess.PIPE,
            check=True,
            timeout=30,
        )
    finally:
        os.close(entry)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_process_alone_in_its_group_moves_out_of_the_way(group: Path, controller: str) -> None:
    assert hand_on(group, controller) == {
        "handed_on": [controller],
        "position": str(group / SHELTER),
        "base": str(group),
        "mount": str(group.parent),
        "again": [controller],
    }


def test_a_stranger_in_the_group_is_left_alone(group: Path, controller: str) -> None:
    with neighbour(group) as pid:
        found = hand_on(group, controller)
        assert found["handed_on"] == []
        assert found["position"] == str(group)
        assert groupfs.inhabitants(group) == {pid}


@pytest.mark.parametrize("mark", ["user.delegate", "trusted.delegate"])
def test_in_a_delegated_group_all_move(group: Path, controller: str, mark: str) -> None:
    os.setxattr(group, mark, b"1")
    with neighbour(group) as pid:
        assert hand_on(group, controller)["handed_on"] == [controller]
        assert groupfs.inhabitants(group) == set()
        assert groupfs.inhabitants(group / SHELTER) == {pid}


def test_at_the_top_of_what_a_container_sees_all_move(group: Path, controller: str, tmp_path: Path) -> None:
    # In a cgroup namespace of its own, and with what can be seen from there mounted, as container engines do it.
    script = f'mount -t cgroup2 none {tmp_path} && exec "$@"'
    with neighbour(group) as pid:
        found = hand_on(group, controller, "unshare", "--cgroup", "--mount", "sh", "-c", script, "sh")
        assert found["handed_on"] == [controller]
        assert found["base"] == found["mount"] == str(tmp_path)
        assert groupfs.inhabitants(group / SHELTER) == {pid}


def test_what_is_not_offered_is_not_handed_on(group: Path, controller: str) -> None:
    found = hand_on(group, "no_such_controller")
    assert found["handed_on"] == []
    assert found["position"] == str(group)
