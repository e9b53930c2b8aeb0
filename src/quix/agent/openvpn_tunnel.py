"""Whether an interface is OpenVPN's, and which host it leads to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import psutil

_LARGEST_CONFIG: Final = 2**20


def host(name: str) -> str | None:
    """Return the host that the interface `name` leads to; '' where that is not known, None where it is not OpenVPN's.

    It is OpenVPN's where a process named openvpn in our network namespace holds the tun or tap device. The host
    is the first `remote` of its command line, else of its configuration file.
    """
    if not Path(f"/sys/class/net/{name}/tun_flags").exists():
        return None
    for pid in psutil.pids():
        process = Path(f"/proc/{pid}")
        try:
            if (process / "comm").read_text() == "openvpn\n" and _holds(process, name):
                return _remote(process)
        except OSError:
            continue  # ended meanwhile, or not ours to look at
    return None


def _holds(process: Path, name: str) -> bool:
    # An interface of the same name in another network namespace is another interface.
    if not (process / "ns/net").samefile("/proc/thread-self/ns/net"):
        return False
    return any(f"iff:\t{name}\n" in facts.read_text() for facts in (process / "fdinfo").iterdir())


def _remote(process: Path) -> str:
    arguments = (process / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")[1:]
    for option, value in pairwise(arguments):
        if option == "--remote":
            return value
    config = config_of(arguments)
    # Relative to where the process stands, which is where --cd took it.
    return "" if config is None else remote_of(_lines(process / "cwd" / config))


def config_of(arguments: Sequence[str]) -> str | None:
    """Return the configuration file that a command line names, openvpn(8): `--config FILE`, or FILE alone."""
    if len(arguments) == 1 and not arguments[0].startswith("--"):
        return arguments[0]
    for option, value in pairwise(arguments):
        if option == "--config":
            return value
    return None


def remote_of(lines: Iterable[str]) -> str:
    """Return the host of the first `remote` in a configuration file."""
    for line in lines:
        if match := re.match(r"""\s*(?:--)?remote\s+["']?([^\s"']+)""", line):
            return match[1]
    return ""


def _lines(path: Path) -> list[str]:
    try:
        if not path.is_file():  # a pipe would keep us waiting
            return []
        with path.open(errors="replace") as stream:
            return stream.read(_LARGEST_CONFIG).splitlines()
    except OSError:
        return []
