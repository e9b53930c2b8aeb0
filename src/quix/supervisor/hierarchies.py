"""The control group hierarchies that are mounted, and where in each this process is (cgroups(7)).

A hierarchy of version 1 carries one controller or a few; the one of version 2 carries all that no version 1 has taken.
On many machines some of both are mounted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from quix.supervisor import proc

Version = Literal[1, 2]

_OWN_MOUNTS: Final = Path("/proc/self/mountinfo")
_OWN_GROUPS: Final = Path("/proc/self/cgroup")
_VERSIONS: Final[dict[str, Version]] = {"cgroup": 1, "cgroup2": 2}
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


class Hierarchy(Struct, frozen=True, kw_only=True):
    """One mounted hierarchy.

    Attributes:
        mount: the folder it is mounted on.
        position: the folder of the group that this process is in.
        controllers: what a version 1 hierarchy was mounted with; empty for version 2, where each group says it.
    """

    version: Version
    mount: Path
    position: Path
    controllers: frozenset[str] = frozenset()


class _Mount(Struct, frozen=True):
    version: Version
    root: str
    folder: Path
    options: frozenset[str]


def hierarchies(mountinfo: Path = _OWN_MOUNTS, groups: Path = _OWN_GROUPS) -> list[Hierarchy]:
    """Return the hierarchies in which this process's own group can be reached.

    Args:
        mountinfo: a file in the form of /proc/PID/mountinfo (proc(5)).
        groups: a file in the form of /proc/PID/cgroup (cgroups(7)).

    Raises:
        OSError: such a file cannot be read; a kernel without control groups has no /proc/PID/cgroup.
    """
    mounts = list(_mounts(proc.read(str(mountinfo)).decode(errors="surrogateescape")))
    found: list[Hierarchy] = []
    for line in proc.read(str(groups)).decode(errors="surrogateescape").splitlines():
        _, names, path = line.split(":", 2)
        controllers = frozenset(names.split(",")) - {""}
        version: Version = 1 if controllers else 2
        for mount in mounts:
            position = _position(mount, path)
            if mount.version == version and controllers <= mount.options and position is not None:
                found.append(Hierarchy(version=version, mount=mount.folder, position=position, controllers=controllers))
                break
    return found


def _mounts(text: str) -> Iterator[_Mount]:
    for line in text.splitlines():
        head, _, tail = line.partition(" - ")
        kind, _, options = tail.split(" ", 2)
        if kind in _VERSIONS:
            _, _, _, root, folder, *_ = head.split(" ")
            yield _Mount(_VERSIONS[kind], _plain(root), Path(_plain(folder)), frozenset(options.split(",")))


def _plain(field: str) -> str:
    """Undo the escapes of mountinfo: blanks and the like are three octal digits."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), field)


def _position(mount: _Mount, path: str) -> Path | None:
    """Return where a group's folder is, or None where it is not below what is mounted (cgroup_namespaces(7))."""
    root = mount.root.rstrip("/")
    below = path.removeprefix(root).strip("/")
    if not f"{path}/".startswith(f"{root}/") or ".." in below.split("/"):
        return None
    return mount.folder / below
