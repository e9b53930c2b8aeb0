"""A tun device that outlives the program that reads it, so that routes and rules through it do. Everything blocks."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import Final

import msgspec

from quix.vpn import marks
from quix.vpn.tools import ToolError, run

_TUN: Final = 0x0001
_PERSIST: Final = 0x0800
"""IFF_TUN, and IFF_PERSIST of a device that no program need hold (linux/if_tun.h)."""


class Tun:
    """The device `name`; `mark`, its alias, says whose it is, in so many words."""

    def __init__(self, name: str, mark: str) -> None:
        self.name = name
        self._mark = marks.fitting(mark)

    def make(self) -> None:
        """Have the device there and up.

        Raises:
            ToolError: it cannot be made, or there is one of that name that is somebody else's.
        """
        if not self.is_ours():
            if not self._has_link():
                run("ip", "tuntap", "add", "dev", self.name, "mode", "tun")
            elif not self._is_nobodys():
                raise ToolError(f"there is an interface {self.name} already, of somebody else's")
            run("ip", "link", "set", "dev", self.name, "alias", self._mark)
        run("ip", "link", "set", "dev", self.name, "up")

    def remove(self) -> None:
        """Remove the device where it is ours."""
        if self.is_ours():
            with contextlib.suppress(ToolError):  # gone meanwhile
                run("ip", "link", "delete", "dev", self.name)

    def is_ours(self) -> bool:
        return marks.of(self.name) == self._mark

    def _is_nobodys(self) -> bool:
        """Whether it is as the first of the commands in `make` leaves it, where we are killed before the second."""
        try:
            flags = int(Path(f"/sys/class/net/{self.name}/tun_flags").read_text(), 16)
        except OSError:
            return False
        (link,) = msgspec.json.decode(run("ip", "-json", "address", "show", "dev", self.name))
        is_kept = flags & _TUN and flags & _PERSIST
        return bool(is_kept) and not marks.of(self.name) and not link["addr_info"] and "UP" not in link["flags"]

    def _has_link(self) -> bool:
        return self.name in {name for _, name in socket.if_nameindex()}
