"""Where the control groups are, as the kernel tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from quix.supervisor.hierarchies import Hierarchy, hierarchies

V1 = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:1 master:2 - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V1_GROUPS = """\
4:memory:/a/b
2:cpu,cpuacct:/
1:name=systemd:/user.slice
8:pids:/nowhere
0::/user.slice
"""


def found(tmp_path: Path, mountinfo: str, groups: str) -> list[Hierarchy]:
    for name, text in (("mountinfo", mountinfo), ("cgroup", groups)):
        (tmp_path / name).write_text(text)
    return hierarchies(tmp_path / "mountinfo", tmp_path / "cgroup")


def test_each_hierarchy_that_is_mounted_is_found(tmp_path: Path) -> None:
    top = Path("/sys/fs/cgroup")
    assert found(tmp_path, V1, V1_GROUPS) == [
        Hierarchy(version=1, mount=top / "memory", position=top / "memory/a/b", controllers=frozenset({"memory"})),
        Hierarchy(
            version=1,
            mount=top / "cpu,cpuacct",
            position=top / "cpu,cpuacct",
            controllers=frozenset({"cpu", "cpuacct"}),
        ),
        Hierarchy(
            version=1,
            mount=top / "systemd",
            position=top / "systemd/user.slice",
            controllers=frozenset({"name=systemd"}),
        ),
        Hierarchy(version=2, mount=top / "unified", position=top / "unified/user.slice"),
    ]


@pytest.mark.parametrize(
    ("root", "path", "position"),
    [
        ("/", "/", "/cg"),
        ("/", "/a/b", "/cg/a/b"),
        ("/docker/1", "/docker/1", "/cg"),
        ("/docker/1", "/docker/1/a", "/cg/a"),
    ],
)
def test_a_part_of_a_hierarchy_may_be_mounted(tmp_path: Path, root: str, path: str, position: str) -> None:
    mountinfo = f"41 31 0:38 {root} /cg rw - cgroup2 cgroup2 rw\n"
    assert found(tmp_path, mountinfo, f"0::{path}\n") == [
        Hierarchy(version=2, mount=Path("/cg"), position=Path(position))
    ]


@pytest.mark.parametrize(
    ("root", "path"), [("/docker/1", "/docker/12"), ("/docker/1", "/"), ("/", "/../x"), ("/..", "/")]
)
def test_a_group_outside_of_what_is_mounted_cannot_be_used(tmp_path: Path, root: str, path: str) -> None:
    assert found(tmp_path, f"41 31 0:38 {root} /cg rw - cgroup2 cgroup2 rw\n", f"0::{path}\n") == []


def test_blanks_in_a_folder_are_escaped(tmp_path: Path) -> None:
    (only,) = found(tmp_path, "41 31 0:38 / /a\\040b\\134 rw - cgroup2 none rw\n", "0::/\n")
    assert only.mount == Path("/a b\\")


def test_a_colon_may_be_part_of_a_group(tmp_path: Path) -> None:
    (only,) = found(tmp_path, "41 31 0:38 / /cg rw - cgroup2 none rw\n", "0::/a:b:c\n")
    assert only.position == Path("/cg/a:b:c")


def test_without_control_groups_nothing_is_mounted(tmp_path: Path) -> None:
    assert found(tmp_path, "23 1 0:28 / / rw - ext4 /dev/vda rw\n", "") == []
    with pytest.raises(FileNotFoundError):
        hierarchies(tmp_path / "mountinfo", tmp_path / "missing")
