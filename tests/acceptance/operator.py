"""Somebody at a terminal of the operators' side."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

from acceptance.house import QUIX, House, Server
from harness.server import PASSWORD


class Operator:
    """Somebody who is logged in, and runs `quix` commands."""

    def __init__(self, house: House, server: Server) -> None:
        self._house = house
        self.env = {**os.environ, "XDG_CONFIG_HOME": str(house.root / "op")}
        done = house.quix(
            "login", server.http, "--username", "op", "--password-stdin",
            stdin=PASSWORD, env={"XDG_CONFIG_HOME": str(house.root / "op")},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def quix(self, *args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([QUIX, *args], input=stdin, env=self.env, capture_output=True, timeout=170)

    @contextlib.contextmanager
    def running(self, *args: str, stdin: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command beside the test; it is ended with the block."""
        process = subprocess.Popen(
            [QUIX, *args], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()
