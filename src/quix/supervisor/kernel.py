"""System calls for which Python has no function, or only one that does it for all threads."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable, Sequence
from typing import Final

_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38
_KEEP: Final = 2**32 - 1  # "leave it as it is" (setresuid(2))
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
