"""Real `quix` processes in a folder of their own, and an end for each of them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx

from harness.lan import entered
from harness.server import NO_TLS, PASSWORD, free_port

T = TypeVar("T")

QUIX = str(Path(sys.executable).with_name("quix"))
PEERS = Path(__file__).parents[1] / "peers"
WITHOUT_NET_ADMIN = ("setpriv", "--inh-caps=-net_admin", "--bounding-set=-net_admin")
"""Runs a program that may not set up network interfaces."""

USERS = {"root": "admin", "op": "operator", "watch": "viewer", "gate": "enroller"}
"""Every user of a house with its role; all have the same password."""


def until(condition: Callable[[], T | None], what: str, seconds: float = 20) -> T:
    """Wait until `condition` is true and return what it gave; `what` is said where it does not come true."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)


class Program:
    """A process that a test started, with all that it wrote."""

    def __init__(self, argv: list[str], log: Path, env: Mapping[str, str], uid: int | None = None) -> None:
        self.log = log
        with log.open("ab") as stream:
            self._before = stream.tell()  # what an earlier one of the same name wrote
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env={**os.environ, **env},
                user=uid,
                group=uid,
                extra_groups=None if uid is None else (),
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def text(self) -> str:
        """What it has written so far."""
        return self.log.read_bytes()[self._before :].decode(errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the lines of JSON that are `event` of that name."""
        lines = [json.loads(line) for line in self.text.splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == name]

    def wait_for(self, text: str, seconds: float = 20) -> None:
        """Wait until it has written `text`."""
        until(lambda: text in self.text or self.process.poll() is not None, f"{text!r} in {self.log.name}", seconds)
        assert text in self.text, f"{self.log.name} ended without {text!r}:\n{self.text}"

    def wait(self, seconds: float = 20) -> int:
        """Wait for its end; return its exit status."""
        return self.process.wait(seconds)

    def terminate(self) -> int:
        """Send SIGTERM and wait for the end; return its exit status."""
        self.process.terminate()
        return self.wait()

    def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        self.process.kill()
        self.wait()

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None


class Server(Program):
    """A running `quix server`."""

    def __init__(
        self,
        argv: list[str],
        log: Path,
        env: Mapping[str, str],
        data_dir: Path,
        listen: tuple[str, int],
        http: int,
        inside: str = "",
    ) -> None:
        self.host, self.port = listen
        self.inside = inside
        super().__init__([*argv, f"--listen={self.host}:{self.port}", f"--http=127.0.0.1:{http}"], log, env)
        self.data_dir = data_dir
        self.url = f"ws://{self.host}:{self.port}/wsi"
        self.http = f"http://127.0.0.1:{http}"

    def wait_ready(self) -> None:
        """Wait until it says that it is well."""

        def is_ready() -> bool:
            assert self.is_running, f"the server ended:\n{self.text}"
            with contextlib.suppress(httpx.TransportError), entered(self.inside):
                return httpx.get(f"{self.http}/healthz", verify=NO_TLS).status_code == 200
            return False

        until(is_ready, "the server is ready", 30)

    def rest(self, username: str = "root", password: str = PASSWORD) -> Rest:
        """Log in to REST."""
        with entered(self.inside):
            body = {"username": username, "password": password}
            answer = httpx.post(f"{self.http}/api/v1/login", json=body, verify=NO_TLS)
        assert answer.status_code == 200, answer.text
        return Rest(self.http, answer.json()["token"], self.inside)


class Rest:
    """REST with the token of a login."""

    def __init__(self, http: str, token: str, inside: str = "") -> None:
        self.http = http
        self.token = token
        self.inside = inside

    def call(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **body: Any) -> httpx.Response:
        # A connection a call: this object needs no closing, and may be used by many threads.
        with entered(self.inside):
            return httpx.request(
                method,
                f"{self.http}/api/v1{path}",
                headers={"Authorization": f"Bearer {self.token}", **(headers or {})},
                json=body or None,
                timeout=60,
                verify=NO_TLS,
            )

    def get(self, path: str) -> Any:
        """Return what a GET that has to succeed gives."""
        answer = self.call("GET", path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def post(self, path: str, **body: Any) -> Any:
        """Return what a POST that has to succeed gives."""
        answer = self.call("POST", path, **body)
        assert answer.status_code in (200, 201), f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    # -- what the tests ask again and again -----------------------------------------------------

    def backends(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/backends?limit=100")["items"]
        return found

    def online(self) -> list[str]:
        """Return the ids of the backends that are connected."""
        return [backend["id"] for backend in self.backends() if backend["connected"]]

    def wait_online(self, seconds: float = 20) -> str:
        """Wait until exactly one backend is connected; return its id."""
        return until(lambda: ids[0] if len(ids := self.online()) == 1 else None, "one backend is connected", seconds)

    def execute(self, backend: str, *cmd: str) -> int:
        """Start a program on a backend; return its pid."""
        pid: int = self.post(f"/backends/{backend}/processes", cmd=list(cmd))["proc_id"]
        return pid

    def processes(self, backend: str, verb: int = 1) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.get(f"/backends/{backend}/processes?verb={verb}")["items"]
        return rows

    def signal(self, backend: str, pid: int, mode: str) -> httpx.Response:
        return self.call("POST", f"/backends/{backend}/processes/{pid}/signal", mode=mode)


class House:
    """A folder with everything that one test starts. Nothing outlives `close`.

    Attributes:
        root: the folder.
        programs: what was started so far, whether it runs or not.
        password_file: holds the password that all users have.
    """

    def __init__(self, template: Path | None = None) -> None:
        # Not below pytest's own folder: that one is for its owner alone, and programs have another uid.
        self.root = Path(tempfile.mkdtemp(prefix="quix-acceptance-"))
        self.root.chmod(0o711)
        self._template = template
        self.programs: list[Program] = []
        self._servers: list[Server] = []
        self._env = {"XDG_CONFIG_HOME": str(self.root / "config")}
        self.password_file = self.root / "password"
        self.password_file.write_text(PASSWORD + "\n")
        self.password_file.chmod(0o600)

    # -- starting -------------------------------------------------------------------------------

    def quix(
        self, *args: str, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one `quix` command to its end."""
        whole = {**os.environ, **self._env, **(env or {})}
        return subprocess.run([QUIX, *args], input=stdin, env=whole, capture_output=True, text=True, timeout=60)

    def start(
        self, name: str, argv: list[str], env: Mapping[str, str] | None = None, uid: int | None = None
    ) -> Program:
        """Start any program, as user `uid` where one is given; what it writes is in the file `name`.log."""
        program = Program(argv, self.root / f"{name}.log", {**self._env, **(env or {})}, uid)
        self.programs.append(program)
        return program

    def server(
        self,
        *args: str,
        name: str = "server",
        host: str = "127.0.0.1",
        port: int = 0,
        http: int = 0,
        inside: str = "",
        before: Sequence[str] = (),
        **env: str,
    ) -> Server:
        """Start a server with every user, in the network namespace `inside` where one is given and by the command
        `before`, and wait until it is ready. `env` are settings: `auth_timeout="2"`."""
        data_dir = self.root / name
        if self._template is not None and not data_dir.exists():
            shutil.copytree(self._template, data_dir)
        argv = ["ip", "netns", "exec", inside] if inside else []
        argv += [*before, QUIX, "server", f"--data-dir={data_dir}", *args]
        env = {"vpn__wireguard__device": "none", **env}  # this machine's interfaces are left alone
        settings = {**self._env, **{f"QUIX_{key.upper()}": value for key, value in env.items()}}
        log = self.root / f"{name}.log"
        server = Server(argv, log, settings, data_dir, (host, port or free_port()), http or free_port(), inside)
        self.programs.append(server)
        self._servers.append(server)
        server.wait_ready()
        return server

    def again(self, server: Server, *args: str, **env: str) -> Server:
        """Start a server that ended once more: the same data, the same addresses."""
        return self.server(
            *args,
            name=server.data_dir.name,
            host=server.host,
            port=server.port,
            http=int(server.http.rpartition(":")[2]),
            inside=server.inside,
            **env,
        )

    def agent(
        self,
        url: str,
        *args: str,
        name: str = "m1",
        username: str = "gate",
        inside: str = "",
        before: Sequence[str] = (),
        **env: str,
    ) -> Program:
        """Start an agent, in the network namespace `inside` where one is given and by the command `before`; its data
        folder is `name`."""
        argv = ["ip", "netns", "exec", inside] if inside else []
        if not inside and any(arg.startswith("--vpn") for arg in args):
            before = [*before, *WITHOUT_NET_ADMIN]  # this machine's interfaces are left alone
        argv += [*before, QUIX, "agent", f"--server={url}", f"--username={username}"]
        argv += [f"--password-file={self.password_file}", f"--data-dir={self.root / name}", f"--name={name}", *args]
        return self.start(name, argv, {f"QUIX_{key.upper()}": value for key, value in env.items()})

    def seed_backend(self, url: str, *args: str, name: str = "seed") -> Program:
        """Start a backend of the seed's page."""
        argv = [sys.executable, str(PEERS / "seed_backend.py"), url, "gate", str(self.password_file)]
        return self.start(name, [*argv, f"--data-dir={self.root / name}", *args])

    def token(self, name: str = "m1") -> str:
        """The token that the agent of folder `name` holds. Waited for: the server counts an agent as connected as it
        answers, which is before the agent has saved what it was answered."""
        file = self.root / name / "agent" / "token.json"
        until(file.exists, f"{file} is saved")
        token: str = json.loads(file.read_text())["token"]
        return token

    # -- ending ---------------------------------------------------------------------------------

    def logs(self) -> Iterator[tuple[str, str]]:
        """The name and the text of each log, that of supervisors included."""
        for log in sorted([*self.root.glob("*.log"), *self.root.glob("*/supervisor/log")]):
            yield str(log.relative_to(self.root)), log.read_text(errors="replace")

    def close(self) -> None:
        """End everything in good order, then whatever is left by force; each by its own pid.

        Raises:
            AssertionError: a server did not end with 0 on SIGTERM.
        """
        statuses = [server.terminate() for server in self._servers if server.is_running]
        for program in self.programs:
            if program.is_running:
                program.kill()
        self._sweep()
        shutil.rmtree(self.root)
        assert not any(statuses), f"servers ended with {statuses} on SIGTERM"

    def _sweep(self) -> None:
        """Kill the supervisors of this folder and the programs that they started."""
        deadline = time.monotonic() + 10
        while pids := self._leftovers():
            assert time.monotonic() < deadline, f"still alive: {pids}"
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    def _leftovers(self) -> list[int]:
        return [pid for pid in pids() if pid != os.getpid() and _is_of(pid, str(self.root))]


def pids() -> list[int]:
    """Every process of this machine."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def cmdline(pid: int) -> list[str]:
    """The arguments of a process; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def is_alive(pid: int) -> bool:
    """Whether a process runs, one that waits to be reaped not counted."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def _is_of(pid: int, root: str) -> bool:
    if not is_alive(pid):
        return False
    if any(root in argument for argument in cmdline(pid)):
        return True
    try:
        if str(Path(f"/proc/{pid}/cwd").readlink()).startswith(root):
            return True
        return root.encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
