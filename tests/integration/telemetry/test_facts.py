"""What an agent tells about its machine."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

import quix
from quix.agent.facts import collect
from quix.exits import Exit, QuixError
from quix.wire.messages import AgentFacts


def said_by(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_facts_are_those_of_this_machine() -> None:
    facts = collect("web-1", {"site": "berlin"})
    assert facts == AgentFacts(
        name="web-1",
        hostname=said_by("uname", "-n"),
        os=said_by("sh", "-c", ". /etc/os-release; echo $PRETTY_NAME"),
        kernel=said_by("uname", "-r"),
        arch=said_by("uname", "-m"),
        agent_version=quix.__version__,
        boot_id=said_by("cat", "/proc/sys/kernel/random/boot_id"),
        labels={"site": "berlin"},
    )


def test_what_is_sent_is_accepted_on_the_other_side() -> None:
    facts = collect("web-1", {"a": "b"})
    assert msgspec.json.decode(msgspec.json.encode(facts), type=AgentFacts) == facts


@pytest.mark.parametrize(
    ("name", "labels", "field"),
    [
        ("x" * 254, {}, "agent.name"),
        ("web", {"a": "x" * 254}, "agent.labels"),
        ("web", {"x" * 64: "a"}, "agent.labels"),
        ("web", {str(number): "" for number in range(65)}, "agent.labels"),
    ],
)
def test_settings_that_no_server_would_take_are_refused_by_name(name: str, labels: dict[str, str], field: str) -> None:
    with pytest.raises(QuixError, match=field) as caught:
        collect(name, labels)
    assert caught.value.code is Exit.CONFIG


@pytest.mark.root
def test_a_machine_that_tells_nothing_of_itself_has_empty_facts() -> None:
    # A device node on a file system without devices cannot be opened, not even by root.
    hide = """
        set -e
        mount -t tmpfs -o nodev none /proc/sys/kernel/random
        mknod /proc/sys/kernel/random/closed c 1 3
        mount --bind /proc/sys/kernel/random/closed /usr/lib/os-release
        mount --bind /proc/sys/kernel/random/closed /etc/os-release
        exec "$0" -c "$1"
    """
    code = "from quix.agent.facts import collect; facts = collect('web', {}); print([facts.os, facts.boot_id])"
    assert said_by("unshare", "--mount", "sh", "-c", hide, sys.executable, code) == "['', '']"
