"""What keeps a program inside its data folder.

Two things, one inside the other: a uid of the programs' own (only root can give it), and Landlock rules. Either can
be missing; `describe` says in words what is and what is not held then.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from quix.supervisor import kernel, landlock, marks
from quix.supervisor.account import Account, resolve
from quix.supervisor.landlock import EXECUTE, IOCTL_DEV, READ_DIR, READ_FILE, TRUNCATE, WRITE_FILE
from quix.supervisor.layout import Layout
from quix.supervisor.run import Ports
from quix.supervisor.settings import SandboxMode, SupervisorSettings
from quix.wire.reasons import Reason, Refusal

_PROGRAMS: Final = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/proc", "/etc/ssl")
_FILES: Final = tuple(
    f"/etc/{name}" for name in ("ld.so.cache", "passwd", "group", "nsswitch.conf", "hosts", "resolv.conf", "localtime")
)
_DEVICES: Final = tuple(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty"))


_ANY: Final = Ports()


class Description(Struct, frozen=True):
    """What the sandbox holds and what it does not, a sentence each, for the owner of the machine."""

    held: list[str]
    not_held: list[str]


class Sandbox:
    """The sandbox of one supervisor. Threads enter it; the supervisor itself stays outside.

    Attributes:
        account: whose rights programs get.
        has_marks: whether each run can have a group of its own (`quix.supervisor.marks`).
        shields_threads: whether a thread that enters has nothing to fear of programs (`quix.supervisor.spawn`): it does
            not take on their uid, or their signals cannot reach it.
    """

    def __init__(self, settings: SupervisorSettings) -> None:
        """Raises QuixError where the programs' account cannot be used."""
        self._mode: SandboxMode = settings.sandbox
        self._layout = Layout(settings.data_dir)
        self._abi = landlock.abi() if settings.sandbox == "landlock" else 0
        self.account: Account = resolve(settings.program_user, own=settings.sandbox != "none")
        self.has_marks = self.account.switches and marks.are_available()
        self.shields_threads = not self.account.switches or landlock.has_scopes(self._abi)

    def check(self, ports: Ports = _ANY) -> None:
        """Raise Refusal(SANDBOX_UNAVAILABLE) where this machine cannot do what was asked for."""
        if ports != _ANY and not landlock.has_ports(self._abi):
            raise Refusal(
                Reason.SANDBOX_UNAVAILABLE,
                "tcp_bind and tcp_connect of the policy need the sandbox landlock, and Linux 6.7 or later",
            )
        if self._mode == "landlock" and self._abi == 0:
            raise Refusal(
                Reason.SANDBOX_UNAVAILABLE,
                "this kernel has no Landlock (Linux 5.13 and later, unless turned off at boot); to run programs "
                "without it, start the agent with --sandbox=uid",
            )
        if self._mode == "uid" and not self.account.switches:
            raise Refusal(
                Reason.SANDBOX_UNAVAILABLE,
                "only root can give programs a uid of their own; start the agent as root, or with --sandbox=landlock",
            )
        if self.account.switches and not kernel.can_switch_thread():
            raise Refusal(
                Reason.SANDBOX_UNAVAILABLE,
                f"how to change user on {os.uname().machine} is not known; start the agent as the programs' user",
            )

    def enter(self, groups: Sequence[int], devices: Sequence[str] = (), ports: Ports = _ANY) -> None:
        """Give up everything that this thread has beyond the sandbox, for itself and for all it will start.

        Args:
            groups: the supplementary groups to keep, where programs have an account of their own.
            devices: pipes and terminals that the program may open, beside what all programs may.
            ports: the TCP ports that it may use.

        Raises:
            OSError: the kernel refused.
        """
        if self._mode == "none":
            return
        # A ruleset made anew each time: a rule is tied to the file itself, and the likes of /etc/resolv.conf are
        # replaced by new files while a machine runs.
        rules = self._ruleset(devices, ports)
        try:
            kernel.no_new_privileges()
            if rules is not None:
                landlock.restrict(rules)
        finally:
            if rules is not None:
                os.close(rules)
        if self.account.switches:
            kernel.switch_thread(self.account.uid, self.account.gid, groups)

    def _ruleset(self, devices: Sequence[str], ports: Ports) -> int | None:
        if self._mode != "landlock":
            return None
        named = {landlock.BIND_TCP: ports.bind, landlock.CONNECT_TCP: ports.connect}
        handled = {access: numbers for access, numbers in named.items() if numbers is not None}
        return landlock.ruleset(self._abi, _rules(self._layout.data, landlock.rights(self._abi), devices), handled)

    def describe(self) -> Description:
        """Say what is held and what is not."""
        facts = [
            (self._mode != "none", "no program can gain rights by executing another (no_new_privs)"),
            (
                self.account.switches,
                f"programs have an account of their own, uid {self.account.uid}: files that only others may read or "
                "write are closed to them",
            ),
            (
                self._abi > 0,
                "programs can read system folders and write only below their data folder, whoever owns the files",
            ),
            (
                landlock.has_scopes(self._abi),
                "programs cannot send signals out, nor reach abstract Unix sockets outside",
            ),
            (self.has_marks, "a program's whole tree can be found and ended while it runs, even what hides"),
            (self._layout.obstacle(self.account) is None, "programs can walk to their data folder by its full path"),
        ]
        # Landlock up to version 8 does not look at connect(2) on a socket that has a name in the file system.
        facts.append((False, "Unix sockets in the file system are closed to programs whatever their modes say"))
        return Description([text for held, text in facts if held], [text for held, text in facts if not held])


def _rules(data: Path, everything: int, devices: Sequence[str]) -> list[tuple[Path | str, int]]:
    device = READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV
    return [
        *((name, EXECUTE | READ_FILE | READ_DIR) for name in _PROGRAMS),
        *((name, READ_FILE) for name in _FILES),
        *((name, device) for name in (*_DEVICES, *devices)),
        (data, everything),
    ]
