"""A network namespace of one's own, with real tunnels in it."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

numbers = itertools.count()

READ = """
import sys, msgspec
from pathlib import Path
from quix import logs
from quix.agent.vpn_status import read
logs.setup()
sys.stdout.buffer.write(msgspec.json.encode(read(Path(sys.argv[1]))))
"""


class Namespace:
    """A network namespace. Nothing in it is seen outside, and it goes with all its interfaces."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"quix-{os.getpid()}-{next(numbers)}"
        self._programs: list[subprocess.Popen[bytes]] = []
        _run("ip", "netns", "add", self.name)
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *command: str | Path) -> str:
        """Run a program in the namespace to its end and return what it printed."""
        return _run("ip", "netns", "exec", self.name, *command)

    def start(self, *command: str | Path) -> subprocess.Popen[bytes]:
        """Start a program in the namespace that runs until the test is over."""
        log = (self.folder / "programs.log").open("ab")
        with log:
            words = ["ip", "netns", "exec", self.name, *map(str, command)]
            program = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)
        self._programs.append(program)
        return program

    def read(self, *prefix: str) -> Any:
        """Return what an agent in the namespace says of `vpn_status`, run by `prefix` where there is one."""
        return msgspec.json.decode(self.run(*prefix, sys.executable, "-c", READ, self.folder))

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 15
        while not condition():
            log = (self.folder / "programs.log").read_text()
            assert all(program.poll() is None for program in self._programs), log
            assert time.monotonic() < deadline, f"{what}: {log}"
            time.sleep(0.02)

    def has(self, ifname: str, text: str = "") -> bool:
        """Whether there is an interface of that name, described with `text` by ip-address(8)."""
        command = ["ip", "-netns", self.name, "address", "show", "dev", ifname]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode == 0 and text in done.stdout

    def end(self) -> None:
        for program in self._programs:
            program.terminate()
        for program in self._programs:
            program.wait(10)
        _run("ip", "netns", "delete", self.name)


def _run(*command: str | Path) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout
