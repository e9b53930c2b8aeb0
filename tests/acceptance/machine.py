"""A machine as the systemd units make it: an agent without any privilege, beside a supervisor that has it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from importlib import resources

from acceptance.house import QUIX, House, Program, Server
from harness.server import PASSWORD

AGENT = 60800
HARDENED = """
import ctypes, os, sys
prctl = ctypes.CDLL(None).prctl
prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
prctl(65, 1, 0, 0, 0)  # PR_SET_MDWE, where the kernel has it: what MemoryDenyWriteExecute= does
os.execv(sys.argv[1], sys.argv[1:])
"""


def capabilities() -> str:
    """What quix-supervisor.service leaves of root's, as setpriv(1) takes it, as far as this container has it."""
    unit = resources.files("quix").joinpath("systemd", "quix-supervisor.service").read_text()
    names = " ".join(re.findall(r"^CapabilityBoundingSet=(.+)$", unit, re.MULTILINE)).split()
    plain = [name.removeprefix("CAP_").lower() for name in names]
    have = [name for name in plain if subprocess.run(["setpriv", f"--bounding-set=+{name}", "true"]).returncode == 0]
    assert len(have) >= len(plain) - 1
    return ",".join(["-all", *(f"+{name}" for name in have)])


class Machine:
    """A data folder with a supervisor of root's and an agent of somebody's."""

    def __init__(self, house: House, server: Server) -> None:
        self.house = house
        self.url = server.url
        self.folder = house.root / "m1"
        self.env = {"NOTIFY_SOCKET": ""}
        self.before: list[str] = []  # what starts the supervisor
        self._capabilities = capabilities()
        self._password = house.root / "agent-password"
        self._password.write_text(PASSWORD)
        self._password.chmod(0o400)
        os.chown(self._password, AGENT, AGENT)

    def start_supervisor(self, *args: str) -> Program:
        argv = [*self.before, "setpriv", "--no-new-privs", f"--bounding-set={self._capabilities}", QUIX, "supervisor"]
        argv += [f"--data-dir={self.folder}", f"--agent-user={AGENT}", *args]
        self.supervisor = self.house.start("supervisor", argv, self.env)
        self.supervisor.wait_for('"event":"ready"')
        return self.supervisor

    def end_supervisor(self, number: signal.Signals) -> None:
        self.supervisor.process.send_signal(number)
        self.supervisor.wait()

    def start_agent(self) -> Program:
        argv = [sys.executable, "-c", HARDENED, QUIX, "agent", f"--server={self.url}", "--username=gate"]
        argv += [f"--password-file={self._password}", f"--data-dir={self.folder}", "--name=m1", "--log-format=json"]
        return self.house.start("agent", argv, self.env, uid=AGENT)

    def attempts(self, attempts: dict[str, str], uid: int = AGENT) -> dict[str, str]:
        """Let a user try things; return for each what became of it."""
        script = """
import json, sys
done = {}
for name, attempt in json.loads(sys.argv[1]).items():
    try:
        exec(attempt)
        done[name] = "done"
    except OSError as error:
        done[name] = type(error).__name__
print(json.dumps(done))
"""
        argv = [sys.executable, "-c", script, json.dumps(attempts)]
        ran = subprocess.run(argv, user=uid, group=uid, extra_groups=(), capture_output=True, text=True, cwd="/")
        assert ran.returncode == 0, ran.stderr
        found: dict[str, str] = json.loads(ran.stdout)
        return found
