"""A tun device that outlives the program that reads it, so that routes and rules through it do. Everything blocks."""

from __future__ import annotations

import contextlib
import socket

from quix.vpn import marks
from quix.vpn.tools import ToolError, run


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
            if self._has_link():
                raise ToolError(f"there is an interface {self.name} already, of somebody else's")
            run("ip", "tuntap", "add", "dev", self.name, "mode", "tun")
            run("ip", "link", "set", "dev", self.name, "alias", self._mark)
        run("ip", "link", "set", "dev", self.name, "up")

    def remove(self) -> None:
        """Remove the device where it is ours."""
        if self.is_ours():
            with contextlib.suppress(ToolError):  # gone meanwhile
                run("ip", "link", "delete", "dev", self.name)

    def is_ours(self) -> bool:
        return marks.of(self.name) == self._mark

    def _has_link(self) -> bool:
        return self.name in {name for _, name in socket.if_nameindex()}
