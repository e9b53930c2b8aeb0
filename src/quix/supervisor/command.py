"""From a command as it was asked for to what exec takes."""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from quix.wire.reasons import Reason, Refusal

PATH: Final = ("/usr/local/bin", "/usr/bin", "/bin")
"""Where programs without a slash in their name are looked for; also the `PATH` they get themselves."""


def encode(cmd: list[str]) -> list[bytes]:
    """Return an argument vector as exec takes it.

    Raises:
        Refusal: REQUEST_INVALID, naming the argument that no program can be given.
    """
    if not cmd:
        raise Refusal(Reason.REQUEST_INVALID, "msg.cmd: must have a program's name")
    if not cmd[0]:
        raise Refusal(Reason.REQUEST_INVALID, "msg.cmd[0]: the program's name is empty")
    return [_argument(index, text) for index, text in enumerate(cmd)]


def _argument(index: int, text: str) -> bytes:
    if "\0" in text:
        raise Refusal(Reason.REQUEST_INVALID, f"msg.cmd[{index}]: holds a NUL character, which no argument can")
    return text.encode()


def resolve(program: bytes) -> bytes:
    """Return the path to execute: what has a slash as it is (from the data folder), else by `PATH`.

    What a name with a slash leads to is left for exec to find out with the program's own rights; asked here, with the
    supervisor's, the answer would tell which files exist where programs may not look.

    Raises:
        Refusal: COMMAND_NOT_FOUND, or PERMISSION_DENIED where there is only something that cannot be executed.
    """
    if b"/" in program:
        return program
    denied = False
    for folder in PATH:
        path = folder.encode() + b"/" + program
        try:
            mode = os.stat(path).st_mode  # noqa: PTH116 - bytes
        except OSError as error:
            denied = denied or error.errno == errno.EACCES
            continue
        if stat.S_ISREG(mode) and mode & 0o111:
            return path
        denied = True
    if denied:
        raise Refusal(Reason.PERMISSION_DENIED, f"{_shown(program)}: found in PATH, but nothing that can be executed")
    raise Refusal(Reason.COMMAND_NOT_FOUND, f"{_shown(program)}: not found in {':'.join(PATH)}")


def exec_refusal(number: int, program: bytes, *, exists: bool) -> Refusal:
    """Return what exec's failure with errno `number` means; `exists` tells whether the program itself was there."""
    name = _shown(program)
    if number in (errno.ENOENT, errno.ENOTDIR) and not exists:
        return Refusal(Reason.COMMAND_NOT_FOUND, f"{name}: {os.strerror(number)}")
    if number == errno.ENOENT:
        return Refusal(Reason.SPAWN_FAILED, f"{name}: the interpreter that it names is missing")
    if number == errno.EACCES:
        return Refusal(Reason.PERMISSION_DENIED, f"{name}: it, or its interpreter, may not be executed")
    if number == errno.EAGAIN:
        return Refusal(Reason.LIMIT_REACHED, f"{name}: the programs' account has as many processes as it may")
    if number == errno.ENOEXEC:
        return Refusal(Reason.SPAWN_FAILED, f"{name}: not a program, and no first line names an interpreter")
    return Refusal(Reason.SPAWN_FAILED, f"{name}: {os.strerror(number)}")


def _shown(program: bytes) -> str:
    text = program.decode()
    return text if len(text) <= 200 else text[:200] + "..."
