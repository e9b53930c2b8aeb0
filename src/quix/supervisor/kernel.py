"""System calls for which Python has no function, or only one that does it for all threads."""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
import sys
import termios
from collections.abc import Iterable, Sequence
from typing import Final

_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38
_KEEP: Final = 2**32 - 1  # "leave it as it is" (setresuid(2))
_CLONE_FS: Final = 0x200
_PUNCH: Final = 0x01 | 0x02  # FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE

_PIDFD_INFO: Final = struct.Struct("=QQ11Ii")
_PIDFD_GET_INFO: Final = 3 << 30 | _PIDFD_INFO.size << 16 | 0xFF << 8 | 11  # _IOWR(PIDFS_IOCTL_MAGIC, 11, ...)
_PIDFD_INFO_EXIT: Final = 1 << 3

_SIGSET_BYTES: Final = 128
_SIGINFO_BYTES: Final = 128

_GENERIC: Final = (159, 149, 147)
_EARLY: Final = (206, 210, 208)
_CREDENTIAL_CALLS: Final = {
    "x86_64": (116, 119, 117),
    "aarch64": _GENERIC,
    "riscv64": _GENERIC,
    "loongarch64": _GENERIC,
    "ppc64le": (81, 169, 164),
    "s390x": _EARLY,
    "armv7l": _EARLY,
    "armv6l": _EARLY,
    "i686": _EARLY,
}
"""The numbers of setgroups, setresgid and setresuid (the kernel's syscall tables), by machine."""

_libc = ctypes.CDLL(None, use_errno=True)
_UNSIGNED: Final = ctypes.c_ulong

syscall = _libc.syscall
syscall.restype = ctypes.c_long
_fallocate = getattr(_libc, "fallocate64", _libc.fallocate)


def checked(result: int) -> int:
    """Return what a call returned; raise the OSError that errno says where that is negative."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def no_new_privileges() -> None:
    """From here on, no exec gives this thread rights that it has not (prctl(2), PR_SET_NO_NEW_PRIVS)."""
    checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, *map(_UNSIGNED, (1, 0, 0, 0))))


def become_subreaper() -> None:
    """A process whose parent ends becomes this process's child, not that of init (prctl(2))."""
    checked(_libc.prctl(_PR_SET_CHILD_SUBREAPER, *map(_UNSIGNED, (1, 0, 0, 0))))


def can_switch_thread() -> bool:
    """Return whether `switch_thread` knows this machine's system calls."""
    return _machine() in _CREDENTIAL_CALLS


def switch_thread(uid: int, gid: int, groups: Sequence[int]) -> None:
    """Give this thread, and no other, the rights of a user; only the saved uid stays as it was, until an exec.

    glibc's own functions, which `os.setresuid` calls, do it for all threads of the process (nptl(7)).

    Raises:
        OSError: the kernel refused.
    """
    set_groups, set_gids, set_uids = map(ctypes.c_long, _CREDENTIAL_CALLS[_machine()])
    ids = (ctypes.c_uint32 * len(groups))(*groups)
    checked(syscall(set_groups, ctypes.c_size_t(len(groups)), ids))
    checked(syscall(set_gids, *map(ctypes.c_uint32, (gid, gid, gid))))
    checked(syscall(set_uids, *map(ctypes.c_uint32, (uid, uid, _KEEP))))


def unshare_folder() -> None:
    """Give this thread a working folder of its own (unshare(2), CLONE_FS)."""
    checked(_libc.unshare(_CLONE_FS))


def punch_hole(descriptor: int, start: int, end: int) -> None:
    """Give the space of a part of a file back; its size, and the place of all else in it, stay (fallocate(2)).

    Raises:
        OSError: the file system cannot do that.
    """
    numbers = (ctypes.c_int64(start), ctypes.c_int64(end - start))
    checked(_fallocate(descriptor, _PUNCH, *numbers))


def widen_pipe(descriptor: int, size: int) -> None:
    """Let a pipe hold up to `size` bytes (fcntl(2), F_SETPIPE_SZ). Raises OSError where that is not allowed."""
    fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, size)


def bytes_waiting(descriptor: int) -> int:
    """Return how many bytes can be read from a pipe at this moment (pipe(7), FIONREAD)."""
    answer = fcntl.ioctl(descriptor, termios.FIONREAD, struct.pack("i", 0))
    return int(struct.unpack("i", answer)[0])


def exit_status(pidfd: int) -> int | None:
    """Return the wait status of a process that has been reaped, whoever's child it was (Linux 6.15 and later).

    None where it has not been reaped yet, or where this kernel does not tell.
    """
    asked = bytearray(_PIDFD_INFO.pack(_PIDFD_INFO_EXIT, *[0] * 13))
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, asked)
    except OSError:
        return None
    told = _PIDFD_INFO.unpack(asked)
    return int(told[-1]) if told[0] & _PIDFD_INFO_EXIT else None


def signal_descriptor(numbers: Iterable[int]) -> int:
    """Return a descriptor from which blocked signals are read (signalfd(2))."""
    wanted = ctypes.create_string_buffer(_SIGSET_BYTES)
    checked(_libc.sigemptyset(wanted))
    for number in numbers:
        checked(_libc.sigaddset(wanted, int(number)))
    return checked(_libc.signalfd(-1, wanted, os.O_NONBLOCK | os.O_CLOEXEC))


def read_signals(descriptor: int) -> set[int]:
    """Return the numbers of the signals that came, once each."""
    try:
        data = os.read(descriptor, 64 * _SIGINFO_BYTES)
    except BlockingIOError:
        return set()
    return {struct.unpack_from("=I", data, offset)[0] for offset in range(0, len(data), _SIGINFO_BYTES)}


def _machine() -> str:
    machine = os.uname().machine
    if sys.maxsize > 2**32:
        return machine
    return {"x86_64": "i686", "aarch64": "armv7l"}.get(machine, machine)  # a 32-bit program on a 64-bit kernel
