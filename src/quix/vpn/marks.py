"""The marks that tell our own interfaces from others': their aliases (ip-link(8)), which outlive us. Nothing blocks."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final

_ALIAS: Final = 255
"""Bytes of an alias (linux/if.h, IFALIASZ)."""


def of_server(data_dir: Path) -> str:
    return f"quix server {data_dir.absolute()}"


def fitting(mark: str) -> str:
    """Return what an interface can carry of a mark."""
    return mark.encode()[:_ALIAS].decode(errors="ignore")


def of(name: str) -> str:
    """Return the alias of an interface; empty where it has none, or is not there."""
    try:
        return Path(f"/sys/class/net/{name}/ifalias").read_text().rstrip("\n")
    except OSError:
        return ""


def bearing(mark: str) -> list[str]:
    """Return the names of the interfaces that carry a mark."""
    return [name for _, name in socket.if_nameindex() if of(name) == fitting(mark)]
