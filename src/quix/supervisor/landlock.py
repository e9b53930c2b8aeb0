"""Landlock through its three system calls (landlock(7); linux/landlock.h).

A ruleset names what it handles, then what it allows of that, and where; from the moment a thread restricts itself with
it, everything handled and not allowed is refused to it and to all that comes of it, for good. Each restriction makes a
domain of its own, so two programs held by the same rules cannot signal or trace each other either.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from quix.supervisor.kernel import checked, syscall

EXECUTE: Final = 1 << 0
WRITE_FILE: Final = 1 << 1
READ_FILE: Final = 1 << 2
READ_DIR: Final = 1 << 3
TRUNCATE: Final = 1 << 14
IOCTL_DEV: Final = 1 << 15

_RIGHTS_BY_ABI: Final = {1: (1 << 13) - 1, 2: 1 << 13, 3: TRUNCATE, 5: IOCTL_DEV}
"""What each version of the kernel's interface added: 1 the thirteen first rights, 2 moving between folders."""

_NET_ABI: Final = 4
BIND_TCP: Final = 1 << 0
CONNECT_TCP: Final = 1 << 1

_SCOPE_ABI: Final = 6
_SCOPE_ABSTRACT_UNIX_SOCKET: Final = 1 << 0
_SCOPE_SIGNAL: Final = 1 << 1

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_CREATE_RULESET_VERSION: Final = 1
_RULE_PATH_BENEATH: Final = 1
_RULE_NET_PORT: Final = 2


class _RulesetAttr(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


class _NetPortAttr(ctypes.Structure):
    _fields_ = (("allowed_access", ctypes.c_uint64), ("port", ctypes.c_uint64))


def abi() -> int:
    """Return the version of the kernel's Landlock, or 0 where it has none or it was turned off at boot."""
    version = syscall(
        ctypes.c_long(_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint32(_CREATE_RULESET_VERSION)
    )
    return max(int(version), 0)


def rights(version: int) -> int:
    """Return every file right that version `version` of Landlock knows."""
    return sum(added for since, added in _RIGHTS_BY_ABI.items() if since <= version)


def has_scopes(version: int) -> bool:
    """Return whether signals and abstract Unix sockets can be kept inside."""
    return version >= _SCOPE_ABI


def has_ports(version: int) -> bool:
    """Return whether TCP ports can be kept from programs."""
    return version >= _NET_ABI


def ruleset(
    version: int, rules: Iterable[tuple[Path | str, int]], ports: Mapping[int, Iterable[int]] = MappingProxyType({})
) -> int:
    """Make a ruleset that allows `rules` (a path, and the rights on it and all below) and return its descriptor.

    A path that does not exist needs no rule. Rights that a path or this kernel's version does not know are left out.

    Args:
        ports: for BIND_TCP, CONNECT_TCP or both, the TCP ports that are allowed; what is not named is not handled.

    Raises:
        OSError: the kernel refused.
    """
    scopes = _SCOPE_ABSTRACT_UNIX_SOCKET | _SCOPE_SIGNAL if has_scopes(version) else 0
    attr = _RulesetAttr(rights(version), sum(ports), scopes)
    descriptor = checked(
        syscall(
            ctypes.c_long(_CREATE_RULESET), ctypes.byref(attr), ctypes.c_size_t(ctypes.sizeof(attr)), ctypes.c_uint32(0)
        )
    )
    try:
        for path, allowed in rules:
            _allow(descriptor, path, allowed & rights(version))
        for access, numbers in ports.items():
            for number in numbers:
                _add(descriptor, _RULE_NET_PORT, _NetPortAttr(access, number))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _allow(descriptor: int, path: Path | str, allowed: int) -> None:
    try:
        target = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _add(descriptor, _RULE_PATH_BENEATH, _PathBeneathAttr(allowed, target))
    finally:
        os.close(target)


def _add(descriptor: int, kind: int, rule: ctypes.Structure) -> None:
    arguments = (ctypes.c_int(descriptor), ctypes.c_int(kind), ctypes.byref(rule), ctypes.c_uint32(0))
    checked(syscall(ctypes.c_long(_ADD_RULE), *arguments))


def restrict(descriptor: int) -> None:
    """Hold this thread to a ruleset, in a new domain; what it starts is held as well.

    It must have called `kernel.no_new_privileges` first, unless it is root.
    """
    checked(syscall(ctypes.c_long(_RESTRICT_SELF), ctypes.c_int(descriptor), ctypes.c_uint32(0)))
