"""Real `quix` processes in folders and on ports of their own, each ended by its own process ID."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx

from harness.server import free_port

T = TypeVar("T")

QUIX = [sys.executable, "-m", "quix"]
PASSWORDS = {"admin": "admin's own password", "gate": "gate's own password", "watch": "watch's own password"}
ROLES = {"admin": "admin", "gate": "enroller", "watch": "viewer"}


def until(condition: Callable[[], T], seconds: float = 20, what: str = "") -> T:
    """Return the first value of `condition` that is true; fail where none is in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what or condition}")


class Running:
    """A process of ours, its log in a file."""

    def __init__(self, arguments: list[str], log: Path, **environ: str) -> None:
        self.log_file = log
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                [*QUIX, *arguments], stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=os.environ | environ
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def stop(self, number: int = signal.SIGTERM, seconds: float = 20) -> int:
        """Signal it and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)

    def exit(self, seconds: float = 20) -> int:
        """Wait until it ends by itself; return its exit status."""
        return self.process.wait(seconds)


class Site:
    """A server, and what it takes to use it. Everything lies below `folder`."""

    def __init__(self, folder: Path) -> None:
        # Programs run as another user, who has to find the way to a data folder below.
        for each in (folder, *folder.parents[:2]):
            each.chmod(each.stat().st_mode | 0o011)
        self.folder = folder
        self.data = folder / "server"
        self.listen = f"127.0.0.1:{free_port()}"
        self.http = f"127.0.0.1:{free_port()}"
        self.url = f"ws://{self.listen}/wsi"
        self.running: list[Running] = []
        self.agents: list[Path] = []
        self.flags: list[str] = []
        for name, role in ROLES.items():
            self.password_file(name).write_text(PASSWORDS[name] + "\n")
            self.password_file(name).chmod(0o600)
            command = ["user", "add", name, "--role", role, "--password-stdin", "--data-dir", str(self.data)]
            subprocess.run([*QUIX, *command], input=PASSWORDS[name], text=True, check=True)

    def password_file(self, name: str) -> Path:
        return self.folder / f"{name}.password"

    def start(self, **environ: str) -> Running:
        """Start the server and wait until it is ready."""
        arguments = ["server", "--data-dir", str(self.data), "--listen", self.listen, "--http", self.http]
        server = Running([*arguments, *self.flags], self.folder / "server.log", **environ)
        self.running.append(server)

        def is_ready() -> bool:
            assert server.process.poll() is None, server.log
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"http://{self.http}/healthz").status_code == 200
            return False

        until(is_ready, what="the server is ready")
        return server

    def agent(self, name: str = "box", *flags: str, url: str = "", user: str = "gate", **environ: str) -> Running:
        """Start an agent in the data folder of that name."""
        data = self.folder / f"agent-{name}"
        self.agents.append(data)
        arguments = ["agent", "--server", url or self.url, "--username", user, "--data-dir", str(data)]
        arguments += ["--password-file", str(self.password_file(user)), "--name", name, *flags]
        agent = Running(arguments, self.folder / f"agent-{name}.log", **environ)
        self.running.append(agent)
        return agent

    def cli(self, *arguments: str, user: str = "admin", text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end as a user who has logged in."""
        home = self.folder / f"home-{user}"
        if not home.exists() and arguments[0] != "login":
            done = self.cli(
                "login", f"http://{self.http}", "--username", user, "--password-stdin", user=user, text=PASSWORDS[user]
            )
            assert done.returncode == 0, done.stderr
        environ = os.environ | {"XDG_CONFIG_HOME": str(home), "COLUMNS": "200"}
        return subprocess.run([*QUIX, *arguments], env=environ, input=text, capture_output=True, text=True, timeout=60)

    def json(self, *arguments: str) -> Any:
        """Run a command with --json and return what it printed."""
        done = self.cli(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def rest(self, user: str = "admin") -> httpx.Client:
        """Return a client of REST that is logged in."""
        client = httpx.Client(base_url=f"http://{self.http}/api/v1", timeout=60)
        answer = client.post("/login", json={"username": user, "password": PASSWORDS[user]})
        assert answer.status_code == 200, answer.text
        client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        return client

    def online(self, name: str = "box") -> dict[str, Any]:
        """Wait until a backend of that name is connected; return it."""

        def found() -> dict[str, Any] | None:
            rows = [row for row in self.json("ls") if row["name"] == name and row["connected"]]
            return rows[0] if rows else None

        return until(found, what=f"{name} is connected") or {}

    def close(self) -> None:
        for each in reversed(self.running):
            if each.process.poll() is None:
                each.process.kill()
                each.process.wait()
        for data in self.agents:
            end_programs(data)


def end_programs(data: Path) -> None:
    """Kill what an agent's supervisor has started, and the supervisor."""
    if (data / "agent" / "supervisor.sock").exists():
        code = (
            "import asyncio, sys\n"
            "from pathlib import Path\n"
            "from quix.cli.demo import end_programs\n"
            "asyncio.run(end_programs(Path(sys.argv[1])))\n"
        )
        subprocess.run([sys.executable, "-c", code, str(data)], check=True, timeout=60)


@contextlib.contextmanager
def site(folder: Path) -> Iterator[Site]:
    made = Site(folder)
    try:
        yield made
    finally:
        made.close()
