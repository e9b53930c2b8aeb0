"""System calls for which Python has no function, or only one that does more than a child should between fork and exec.

Everything is prepared when this is imported: that child may load nothing, and each page of memory it touches is copied
for it first, which is what most of its time would go into.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from collections.abc import Iterable
from typing import Final

_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38
_SIG_SETMASK: Final = ctypes.c_int(signal.SIG_SETMASK)
_SFD_NONBLOCK_CLOEXEC: Final = ctypes.c_int(os.O_NONBLOCK | os.O_CLOEXEC)
_SIGINFO_BYTES: Final = 128

_libc = ctypes.CDLL(None, use_errno=True)
_prctl = _libc.prctl
_sigprocmask = _libc.sigprocmask
_ONE: Final = ctypes.c_ulong(1)
_ZERO: Final = ctypes.c_ulong(0)
_NO_SIGNAL: Final = ctypes.create_string_buffer(_SIGINFO_BYTES)
"""A sigset_t with nothing in it; it has 128 bytes in glibc, and in musl no more."""

syscall = _libc.syscall
syscall.restype = ctypes.c_long


def checked(result: int) -> int:
    """Return what a call returned; raise the OSError that errno says where that is negative."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def no_new_privileges() -> None:
    """From here on, no exec gives this process rights that it has not (prctl(2), PR_SET_NO_NEW_PRIVS)."""
    checked(_prctl(_PR_SET_NO_NEW_PRIVS, _ONE, _ZERO, _ZERO, _ZERO))


def become_subreaper() -> None:
    """A process whose parent ends becomes this process's child, not that of init (prctl(2))."""
    checked(_prctl(_PR_SET_CHILD_SUBREAPER, _ONE, _ZERO, _ZERO, _ZERO))


def unblock_signals() -> None:
    """Let every signal through."""
    checked(_sigprocmask(_SIG_SETMASK, _NO_SIGNAL, None))


def signal_descriptor(numbers: Iterable[int]) -> int:
    """Return a descriptor from which blocked signals are read (signalfd(2))."""
    wanted = ctypes.create_string_buffer(_SIGINFO_BYTES)
    _libc.sigemptyset(wanted)
    for number in numbers:
        checked(_libc.sigaddset(wanted, int(number)))
    return checked(_libc.signalfd(-1, wanted, _SFD_NONBLOCK_CLOEXEC))


def read_signals(descriptor: int) -> set[int]:
    """Return the numbers of the signals that came, once each."""
    try:
        data = os.read(descriptor, 64 * _SIGINFO_BYTES)
    except BlockingIOError:
        return set()
    return {struct.unpack_from("=I", data, offset)[0] for offset in range(0, len(data), _SIGINFO_BYTES)}
