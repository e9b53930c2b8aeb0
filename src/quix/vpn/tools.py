"""Running the system's network tools: ip(8), wg(8) and what else makes tunnels. Everything here blocks."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""A service's PATH often lacks the folders that such tools are in."""

_PATIENCE: Final = 20.0
_NET_ADMIN: Final = 12
"""CAP_NET_ADMIN (linux/capability.h)."""

_PACKAGES: Final = {"ip": "iproute2", "wg": "wireguard-tools", "wireguard-go": "wireguard-go"}
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{42,}=?")


class ToolError(Exception):
    """Something could not be set up; the text says what, holds no secret, and is one line."""


def find(name: str) -> str | None:
    """Return the path of a tool, None where it is not installed."""
    return shutil.which(name, path=PATH)


def missing(*tools: str) -> str | None:
    """Return what this process lacks to set up interfaces with these tools, or None where it lacks nothing."""
    lacking = [f"{name} (package {_PACKAGES.get(name, name)})" for name in tools if find(name) is None]
    if not _may_administer():
        lacking.append("the right to set up network interfaces (root, or CAP_NET_ADMIN)")
    return " and ".join(lacking) or None


def _may_administer() -> bool:
    status = Path("/proc/self/status").read_text()
    (effective,) = re.findall(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return bool(int(effective, 16) >> _NET_ADMIN & 1)


def has_ipv6(interface: str = "default") -> bool:
    """Whether an interface can have IPv6 addresses and routes; `default`: one that is made now."""
    try:
        return Path(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6").read_text().strip() == "0"
    except OSError:
        return False


def run(name: str, *arguments: str, given: str = "") -> str:
    """Run a tool with `given` on its stdin, to its end; return what it printed.

    Secrets go through `given` only: what is in `arguments` can be seen by everybody.

    Raises:
        ToolError: it is not installed, failed, or took too long.
    """
    path = find(name)
    if path is None:
        raise ToolError(f"{name} is not installed (package {_PACKAGES.get(name, name)})")
    try:
        # A session of its own: what it leaves behind is not to die of a Ctrl-C that is meant for us.
        done = subprocess.run(
            [path, *arguments],
            check=False,
            input=given,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            start_new_session=True,
            env={"PATH": PATH, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        raise ToolError(f"{name} took longer than {_PATIENCE:g} s") from None
    except OSError as error:
        raise ToolError(f"{name} cannot be run: {error.strerror}") from error
    if done.returncode:
        said = " ".join(done.stderr.split())
        # wg(8) repeats a key that it does not like.
        raise ToolError(f"{name} {arguments[0]}: {_KEY.sub('(a key)', said)[:300] or f'failed ({done.returncode})'}")
    return done.stdout
