"""Getting a group of version 2 to hand its controllers on to its children.

Only a group without processes of its own may (cgroup-v2.rst, "No Internal Process Constraint"), and this process is in
one. So whatever is in it moves to a child group first, the shelter. That is done where the group was given to us:
nobody else is in it; or it was delegated (systemd.resource-control(5), `Delegate=`, which leaves a mark that can be
read); or it is the topmost that a container sees. Elsewhere, as in a login session, others' processes are not moved
about, and the controllers stay out of reach.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import Final

from quix.supervisor import groupfs
from quix.supervisor.hierarchies import Hierarchy

SHELTER: Final = "quix-supervisor"
"""The child group for what was in a group before it handed on its controllers. There is one for all supervisors that
share a group, and it stays, since its inhabitants do."""

CONTROL: Final = "cgroup.subtree_control"

_MARKS: Final = ("trusted.delegate", "user.delegate")
_ATTEMPTS: Final = 5


def base(hierarchy: Hierarchy) -> Path:
    """Return the group below which ours are made: the one this process is in, or was in before it was sheltered."""
    position = hierarchy.position
    return position.parent if position.name == SHELTER and position != hierarchy.mount else position


def hand_on(hierarchy: Hierarchy, wanted: frozenset[str]) -> frozenset[str]:
    """Have the base hand on as many of the wanted controllers as it can; return those that its children now get."""
    group = base(hierarchy)
    for controller in sorted(wanted & groupfs.words(group / "cgroup.controllers") - groupfs.words(group / CONTROL)):
        # Whatever is said against it: what the kernel then does not list, it does not hand on.
        with contextlib.suppress(OSError):
            _enable(hierarchy, controller)
    return wanted & groupfs.words(group / CONTROL)


def _enable(hierarchy: Hierarchy, controller: str) -> None:
    group = base(hierarchy)
    for _ in range(_ATTEMPTS):
        # Asked even where the kernel would not refuse: with `pids` alone, it makes the group a threaded domain then,
        # whose children no process may join.
        if not _is_root(group) and groupfs.inhabitants(group):
            if not _is_ours(hierarchy):
                return
            _shelter_all(group)
        try:
            groupfs.write(group / CONTROL, f"+{controller}")
        except OSError as error:
            if error.errno != errno.EBUSY:  # something was started in it just now
                raise
        else:
            return


def _is_root(group: Path) -> bool:
    """Return whether it is the root of the whole hierarchy, which may have processes, and has no such file."""
    return not (group / "cgroup.events").exists()


def _is_ours(hierarchy: Hierarchy) -> bool:
    group = base(hierarchy)
    if group == hierarchy.mount or groupfs.inhabitants(group) <= {os.getpid()}:
        return True
    return any(_mark(group, name) == b"1" for name in _MARKS)


def _mark(group: Path, name: str) -> bytes:
    try:
        return os.getxattr(group, name)
    except OSError:  # there is none, or it is not for us to read
        return b""


def _shelter_all(group: Path) -> None:
    shelter = group / SHELTER
    shelter.mkdir(exist_ok=True)
    for pid in groupfs.inhabitants(group):
        with contextlib.suppress(ProcessLookupError):  # it has ended
            groupfs.write(shelter / "cgroup.procs", pid)
