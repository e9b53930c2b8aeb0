"""What a process calls itself, and the command that it shows.

There are two places to say so: the memory that its arguments were put in, which programs like nginx and whatever uses
setproctitle write over, and its name (`comm`, 15 bytes; prctl(2), PR_SET_NAME).
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from typing import Final

from quix.supervisor import proc
from quix.supervisor.proc import Stat

_COMM_BYTES: Final = 15


def cmdline(pid: int) -> bytes:
    """Return the memory that held a process's arguments; empty for a kernel thread and for one that has ended."""
    try:
        return proc.read(f"/proc/{pid}/cmdline")
    except (*proc.GONE, PermissionError):
        return b""


def command(entry: Stat) -> str:
    """Return the command that a process shows, as a shell would read it; `[name]` where it shows none (as ps(1))."""
    argv = _split(cmdline(entry.pid))
    return shlex.join(argv) if any(argv) else f"[{entry.comm}]"


def title(entry: Stat, cmd: Sequence[str] = ()) -> str:
    """Return what a process calls itself; `cmd` is the command that it was started with, where that is known."""
    raw = cmdline(entry.pid)
    argv = _split(raw)
    if not any(argv) or _is_as_given(argv, cmd):
        return entry.comm
    if len(argv) == 1 and _is_rewritten(raw):
        return argv[0].strip()
    return argv[0] if _chose_first_argument(entry, argv[0]) else entry.comm


def _split(raw: bytes) -> list[str]:
    return raw.rstrip(b"\0").decode(errors="replace").split("\0")


def _is_as_given(argv: Sequence[str], cmd: Sequence[str]) -> bool:
    """Whether `argv` is what exec made of `cmd`: itself or, for a script, the interpreter and then `cmd`."""
    if not cmd or len(argv) < len(cmd):
        return False
    *before, program = argv[: len(argv) - len(cmd) + 1]
    same_program = program == cmd[0] or (bool(before) and os.path.basename(program) == os.path.basename(cmd[0]))  # noqa: PTH119 - of strings that need be no paths
    return same_program and list(argv[len(argv) - len(cmd) + 1 :]) == list(cmd[1:])


def _is_rewritten(raw: bytes) -> bool:
    """Whether one string is there that exec did not put there: it ends each argument with one NUL, and at its end."""
    return b" " in raw or not raw.endswith(b"\0") or raw.endswith(b"\0\0")


def _chose_first_argument(entry: Stat, first: str) -> bool:
    """Whether argv[0] says something that neither the file's name nor a name set later does (`exec -a` in bash)."""
    try:
        executable = os.readlink(f"/proc/{entry.pid}/exe")  # noqa: PTH115 - it need not be a path that exists
    except (*proc.GONE, PermissionError):
        return False
    name = os.path.basename(executable).encode()[:_COMM_BYTES].decode(errors="replace")  # noqa: PTH119 - as above
    return entry.comm == name and not first.startswith("/") and os.path.basename(first) != os.path.basename(executable)  # noqa: PTH119 - as above
