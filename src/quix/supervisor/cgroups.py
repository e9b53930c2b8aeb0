"""The control groups of a supervisor: what this machine offers, and one group for each run that has limits.

What holds which limit of a run:

- `memory`: version 1 or 2 of the controller `memory`; otherwise RLIMIT_AS (`quix.supervisor.rlimits`), of each process.
- `processes`: version 1 or 2 of `pids`; otherwise nothing of the kernel's, and whoever runs the run counts its tree.
- `cpu`: counted by `cpuacct`, or by any group of version 2 without a controller; RLIMIT_CPU beside it, of each process.
- `open_files`, `file_size`: setrlimit(2) alone. `output`, `time`: neither.

The groups are `quix-DEVICE-INODE-RUN`, right below the group that the supervisor is in, so that the limits which the
machine's owner gave it hold for the runs, too. Device and inode are those of the data folder: of two folders that exist
on a machine at one time, containers included, no two have the same. No folder is around them: in version 2 it would
hand on controllers itself, and so keep systemd from taking them back from the service, without which systemd cannot
start the service again while runs live (systemd issue 24064).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import UNSET, Struct

from quix.supervisor import delegation, groupfs, log
from quix.supervisor.cgroup import RESOURCES, Cgroup, Resource, apply, settings
from quix.supervisor.hierarchies import Hierarchy, Version, hierarchies
from quix.wire.runs import RunLimits

_CONTROLLERS: Final[dict[str, Resource]] = {"memory": "memory", "pids": "processes", "cpuacct": "cpu"}
_HANDED_ON: Final = frozenset(("memory", "pids"))
_PROBE: Final = "+probe"  # no run's id: `RunKey` has no such sign
_ENTRIES: Final[dict[Version, str]] = {1: "tasks", 2: "cgroup.procs"}
"""Where "0" moves the writer: in version 1 the thread, which spares the lock for which moving a process may wait 15 ms
(the kernel's cgroup_threadgroup_rwsem); in version 2 a thread cannot leave its process."""


class _Home(Struct, frozen=True, kw_only=True):
    """Where the groups of all runs are in one hierarchy, and what they can do there."""

    hierarchy: Hierarchy
    folder: Path
    resources: frozenset[Resource]
    handed_on: frozenset[str]

    def make(self, name: str, limits: RunLimits) -> Path:
        """Make a group with its limits. Raises OSError where that fails, and then there is none."""
        if self.handed_on:  # again, where systemd has taken the controllers back in the meantime
            delegation.hand_on(self.hierarchy, self.handed_on)
        folder = self.folder / name
        folder.mkdir()
        try:
            self.limit(folder, limits)
        except OSError:
            folder.rmdir()
            raise
        return folder

    def limit(self, folder: Path, limits: RunLimits) -> None:
        """Set limits of a group. Raises OSError where one cannot be set."""
        for resource in RESOURCES:
            if resource in self.resources:
                apply(folder, settings(self.hierarchy.version, resource, limits))


class Cgroups:
    """The groups of one data folder. Where the machine offers none, `available` is empty.

    Attributes:
        available: the limits that a group of a run holds here, or counts.
    """

    def __init__(self, data_dir: Path, mounted: Sequence[Hierarchy] | None = None) -> None:
        """Find out what can be used, by making a group and removing it again.

        Args:
            data_dir: the supervisor's; it must exist.
            mounted: the hierarchies to look at; by default, this machine's.
        """
        found = data_dir.stat()
        self._prefix = f"quix-{found.st_dev:x}-{found.st_ino:x}-"
        self._mounted = _own_hierarchies() if mounted is None else list(mounted)
        self._homes = _chosen([home for each in self._mounted if (home := self._try(each)) is not None])
        self._former: list[Path] | None = None
        self.available: frozenset[Resource] = frozenset(self._homes)

    def _try(self, hierarchy: Hierarchy) -> _Home | None:
        handed_on = delegation.hand_on(hierarchy, _HANDED_ON) if hierarchy.version == 2 else frozenset()
        counted: set[Resource] = {"cpu"} if hierarchy.version == 2 else set()
        resources = counted | {_CONTROLLERS[name] for name in _CONTROLLERS.keys() & (hierarchy.controllers | handed_on)}
        if not resources:
            return None
        folder = delegation.base(hierarchy)
        home = _Home(hierarchy=hierarchy, folder=folder, resources=frozenset(resources), handed_on=handed_on)
        name = f"{self._prefix}{_PROBE}"
        with contextlib.suppress(OSError):  # it was left where a supervisor was killed right here
            (folder / name).rmdir()
        try:
            probe = home.make(name, RunLimits())
        except OSError:  # read-only, or not ours: what is not available shows
            return None
        can_be_joined = groupfs.words(probe / "cgroup.type") <= {"domain"}  # version 1 has no such file
        probe.rmdir()
        return home if can_be_joined else None

    def holds(self, limits: RunLimits) -> bool:
        """Return whether a group would hold or count any of these limits."""
        return bool(_wanted(limits) & self.available)

    def create(self, run_id: str, limits: RunLimits) -> Cgroup:
        """Make the group of a run, empty and with its limits set.

        Raises:
            OSError: it cannot be made, and nothing of it was.
        """
        folders: list[Path] = []
        entries: list[int] = []
        homes = self._needed(limits)
        try:
            for home in homes:
                folders.append(home.make(f"{self._prefix}{run_id}", limits))
                entry = folders[-1] / _ENTRIES[home.hierarchy.version]
                entries.append(os.open(entry, os.O_WRONLY | os.O_CLOEXEC))
        except BaseException:
            Cgroup(folders, limits, entries).remove()
            raise
        return Cgroup(folders, limits, entries, takes_threads=all(home.hierarchy.version == 1 for home in homes))

    def _needed(self, limits: RunLimits) -> list[_Home]:
        """Return the homes that a group takes; always the one that can forbid forks, which makes its end certain."""
        wanted = _wanted(limits) | {"processes"}
        homes = [self._homes[resource] for resource in RESOURCES if resource in wanted & self.available]
        return list({home.folder: home for home in homes}.values())

    def find(self, run_id: str, limits: RunLimits) -> Cgroup | None:
        """Return the group that this supervisor or an earlier one made for a run, or None. It cannot be joined.

        Args:
            run_id: as given to `create`.
            limits: as given to `create`.
        """
        folders = [folder for folder in self._all_groups() if folder.name == f"{self._prefix}{run_id}"]
        for home in self._homes.values():
            folder = home.folder / f"{self._prefix}{run_id}"
            if home.handed_on and folder in folders:  # its limits are gone if controllers were taken back meanwhile
                try:
                    home.limit(folder, limits)
                except OSError as error:
                    log.event("warning", "limits of a run could not be set again", run=run_id, error=str(error))
        return Cgroup(folders, limits) if folders else None

    def sweep(self, keep: set[str]) -> list[str]:
        """Kill and remove the groups of all runs but those; return the ids of those that would not go.

        Raises:
            OSError: as `Cgroup.remove`.
        """
        left: list[str] = []
        found = {folder.name.removeprefix(self._prefix) for folder in self._all_groups()}
        for run_id in sorted(found - keep):
            group = self.find(run_id, RunLimits())
            if group is not None and not (group.kill() and group.remove()):
                left.append(run_id)
        return left

    def _all_groups(self) -> list[Path]:
        """Return all groups of this data folder. An earlier supervisor may have been in another group, such as that of
        another login, so the first call looks through all that is mounted."""
        if self._former is None:
            everywhere = (folder for each in self._mounted for folder in _search(each.mount, self._prefix))
            self._former = list(dict.fromkeys(folder.parent for folder in everywhere))
        places = dict.fromkeys([*(home.folder for home in self._homes.values()), *self._former])
        return [folder for place in places for folder in _ours(place, self._prefix)]


def _own_hierarchies() -> list[Hierarchy]:
    try:
        return hierarchies()
    except FileNotFoundError:  # a kernel without control groups
        return []


def _chosen(homes: list[_Home]) -> dict[Resource, _Home]:
    """Return who holds what. A controller is in one hierarchy at a time, but `cpu` may be counted in two: one that is
    used anyway is better, then one of version 1, which is quicker to join."""
    chosen: dict[Resource, _Home] = {}
    for home in sorted(homes, key=lambda home: (-len(home.resources), home.hierarchy.version)):
        for resource in home.resources:
            chosen.setdefault(resource, home)
    return chosen


def _wanted(limits: RunLimits) -> frozenset[Resource]:
    named: dict[Resource, object] = {"memory": limits.memory, "processes": limits.processes, "cpu": limits.cpu}
    return frozenset(resource for resource, value in named.items() if value is not UNSET)


def _search(top: Path, prefix: str) -> Iterator[Path]:
    """Yield the groups of such a name, from a folder down."""
    for folder, below, _ in os.walk(top):
        found = [name for name in below if name.startswith(prefix)]
        below[:] = [name for name in below if name not in found]
        yield from (Path(folder, name) for name in found)


def _ours(place: Path, prefix: str) -> Iterator[Path]:
    """Yield the groups of such a name in a folder that are this user's."""
    with contextlib.suppress(FileNotFoundError):
        for folder in place.iterdir():
            if folder.name.startswith(prefix) and folder.stat().st_uid == os.geteuid():
                yield folder
