"""Whose rights programs get, and whose the agent has."""

from __future__ import annotations

import os
import pwd
from typing import Final

from msgspec import Struct

from quix.exits import Exit, QuixError

DEFAULT_NAME: Final = "quix"
"""The system user that programs run as where the machine has one."""

DEFAULT_ID: Final = 60706
"""The uid and gid of programs where there is no such user; it needs no entry in /etc/passwd.

From the numbers 60706 to 61183, which systemd's allocation leaves to nobody ("Users, Groups, UIDs and GIDs on
systemd systems") and Debian gives to nobody either (Debian policy 9.2.2); below 65536, so that it exists in
containers that map only so many.
"""

_NO_ID: Final = 2**32 - 1
"""What means "leave it as it is" to setresuid(2)."""


class Account(Struct, frozen=True):
    """`uid` and `gid` of programs; `switches` where they are not those of the supervisor itself."""

    uid: int
    gid: int
    switches: bool


class Owner(Struct, frozen=True):
    """The user and group that a folder is given to."""

    uid: int
    gid: int


def resolve(program_user: str, *, own: bool) -> Account:
    """Return the account of programs.

    Args:
        program_user: a name, `UID:GID`, or empty for the default.
        own: whether programs should have an account of their own; only root can give them one.

    Raises:
        QuixError: there is no such user, it is root, or the supervisor may not switch to it.
    """
    if not own or (os.geteuid() != 0 and not program_user):
        return Account(os.geteuid(), os.getegid(), switches=False)
    uid, gid = _look_up(program_user)
    if os.geteuid() != 0:
        if uid == os.geteuid():
            return Account(uid, os.getegid(), switches=False)
        raise QuixError("program_user: only root can run programs as another user", Exit.CONFIG)
    if uid == 0 or gid == 0:
        raise QuixError(f"program_user: {program_user or DEFAULT_NAME!r} is root; choose another user", Exit.CONFIG)
    return Account(uid, gid, switches=True)


def resolve_agent(agent_user: str, programs: Account) -> Owner | None:
    """Return the agent's user, where it is another than the supervisor's own.

    Args:
        agent_user: a name, a uid, or empty where the agent has the supervisor's own uid.
        programs: the account of programs, which must not be able to call the supervisor.

    Raises:
        QuixError: there is no such user, it is root or the programs', or the supervisor is not root.
    """
    if not agent_user:
        return None
    if os.geteuid() != 0:
        raise QuixError("agent_user: only root can serve an agent of another user", Exit.CONFIG)
    owner = _agent_owner(agent_user)
    if owner.uid == 0:
        raise QuixError("agent_user: is root, which may call the supervisor anyway; leave it out", Exit.CONFIG)
    if programs.switches and programs.uid == owner.uid:
        raise QuixError(
            f"agent_user: {agent_user!r} is the user of programs too, which could then give orders; choose another",
            Exit.CONFIG,
        )
    return owner


def _agent_owner(agent_user: str) -> Owner:
    is_uid = agent_user.isascii() and agent_user.isdigit()
    if is_uid and int(agent_user) >= _NO_ID:
        raise QuixError(f"agent_user: {agent_user} is no uid", Exit.CONFIG)
    try:
        entry = pwd.getpwuid(int(agent_user)) if is_uid else pwd.getpwnam(agent_user)
    except KeyError:
        if is_uid:  # which needs no entry in /etc/passwd
            return Owner(int(agent_user), int(agent_user))
        raise QuixError(f"agent_user: this machine has no user {agent_user!r}", Exit.CONFIG) from None
    return Owner(entry.pw_uid, entry.pw_gid)


def _look_up(program_user: str) -> tuple[int, int]:
    uid, colon, gid = program_user.partition(":")
    if colon:
        return _number(uid, program_user), _number(gid, program_user)
    try:
        entry = pwd.getpwnam(program_user or DEFAULT_NAME)
    except KeyError:
        if program_user:
            raise QuixError(f"program_user: this machine has no user {program_user!r}", Exit.CONFIG) from None
        return DEFAULT_ID, DEFAULT_ID
    return entry.pw_uid, entry.pw_gid


def _number(text: str, whole: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < _NO_ID:
        return int(text)
    raise QuixError(f"program_user: must be a user's name or UID:GID, not {whole!r}", Exit.CONFIG)
