"""What the machine is (extension `agent`)."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Mapping
from pathlib import Path

import msgspec

from quix import __version__
from quix.exits import Exit, QuixError
from quix.wire.codec import field_detail
from quix.wire.messages import AgentFacts


def collect(name: str, labels: Mapping[str, str]) -> AgentFacts:
    """Return the facts of this machine; `name` and `labels` are the owner's own.

    A fact that the machine does not tell (a container without os-release, say) is an empty string.

    Raises:
        QuixError: the name or a label is too long, or there are too many labels.
    """
    system = os.uname()
    facts = {
        "name": name,
        "hostname": socket.gethostname(),
        "os": _os_name()[:200],
        "kernel": system.release,
        "arch": system.machine,
        "agent_version": __version__,
        "boot_id": _boot_id(),
        "labels": dict(labels),
    }
    try:
        return msgspec.convert(facts, AgentFacts)
    except msgspec.ValidationError as error:
        raise QuixError(f"{field_detail(error, 'agent')}; change it in the agent's settings", Exit.CONFIG) from error


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return ""


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
