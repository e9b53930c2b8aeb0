"""How full the mounted block devices are (PROTOCOL: `disk_util`).

The kernel's mount table is read directly (proc_pid_mountinfo(5)), because psutil's list has neither the device
numbers, without which one disk that is mounted at many places counts many times, nor the mount ids, without which a
mount that lies hidden under another would be given the figures of the other.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import Struct

from quix import logs
from quix.agent.look import Look

log = logs.get(__name__)

PATIENCE: Final = 2.0
"""Seconds that a disk may take to say how full it is."""

_ANONYMOUS: Final = frozenset({"btrfs", "bcachefs"})
"""File systems that lie on a block device but can span several, so that the kernel gives them no number of one.
Anything else without a number (tmpfs, NFS, FUSE) is no block device, whatever it calls its source."""


class Mount(Struct, frozen=True):
    """One mount of a block device: `number` is MAJOR:MINOR, `device` the device's path."""

    id: int
    point: str
    number: str
    device: str


class DiskMeter:
    """Asks each disk in a thread of its own, so that one that hangs holds up neither the loop nor the others."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._mounts = Look(lambda: block_mounts(Path("/proc/self/mountinfo").read_bytes()), patience)
        self._looks: dict[str, Look[list[int] | None]] = {}

    async def usage(self) -> dict[str, list[int]]:
        """Return {device path: [bytes used, bytes free to users]}, each block device that is mounted once.

        A disk that does not answer within `patience` seconds or that the agent may not look at is left out.

        Raises:
            TimeoutError: the kernel does not even give the list.
        """
        devices: dict[str, list[Mount]] = {}
        for mount in await self._mounts.take():
            devices.setdefault(mount.number, []).append(mount)
        self._looks = {number: self._look(number, mounts) for number, mounts in devices.items()}
        names = [mounts[0].device for mounts in devices.values()]
        looks = [self._take(name, look) for name, look in zip(names, self._looks.values(), strict=True)]
        answers = await asyncio.gather(*looks)
        return {name: usage for name, usage in zip(names, answers, strict=True) if usage is not None}

    def _look(self, number: str, mounts: list[Mount]) -> Look[list[int] | None]:
        earlier = self._looks.get(number)
        return earlier if earlier is not None and earlier.is_running else Look(partial(measure, mounts), self._patience)

    async def _take(self, device: str, look: Look[list[int] | None]) -> list[int] | None:
        try:
            return await look.take()
        except TimeoutError:
            log.warning("disk does not answer; left out", device=device, seconds=self._patience)
            return None


def measure(mounts: Iterable[Mount]) -> list[int] | None:
    """Return [bytes used, bytes free to users] of the file system that `mounts` are mounts of, as df(1) counts.

    None where none of them can be reached: hidden under another mount, forbidden, or gone by now.
    """
    for mount in mounts:
        try:
            if (usage := _measure(mount)) is not None:
                return usage
        except OSError as error:
            log.debug("mount cannot be looked at", mount=mount.point, error=error.strerror)
    return None


def _measure(mount: Mount) -> list[int] | None:
    descriptor = os.open(mount.point, os.O_PATH | os.O_CLOEXEC)
    try:
        facts = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
        if f"mnt_id:\t{mount.id}\n" not in facts:
            return None
        usage = os.fstatvfs(descriptor)
    finally:
        os.close(descriptor)
    return [(usage.f_blocks - usage.f_bfree) * usage.f_frsize, usage.f_bavail * usage.f_frsize]


def block_mounts(table: bytes) -> list[Mount]:
    """Return the mounts of block devices in `table`, the text of a mountinfo file."""
    found = []
    for line in table.splitlines():
        # ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELD]... - TYPE SOURCE OPTIONS
        head, _, tail = line.partition(b" - ")
        mount_id, _, number, _, point = head.split(b" ")[:5]
        kind, source = tail.split(b" ")[:2]
        device = _device(number.decode(), kind.decode(), _plain(source))
        if device is not None:
            found.append(Mount(int(mount_id), _plain(point), *device))
    return found


def _device(number: str, kind: str, source: str) -> tuple[str, str] | None:
    """Return the number and the path of the block device that a mount is of; None where it is of none."""
    named = _number_of(source)
    if number.startswith("0:"):
        return (named, source) if named is not None and kind in _ANONYMOUS else None
    if named == number and not source.startswith("/dev/disk/"):
        return number, source
    # /dev/root, a name by UUID, or a node that this container lacks: what does the kernel call it?
    name = _kernel_name(number)
    return None if name is None else (number, name)


def _number_of(source: str) -> str | None:
    if not source.startswith("/dev/"):
        return None
    try:
        facts = Path(source).stat()
    except OSError:
        return None
    if not stat.S_ISBLK(facts.st_mode):
        return None
    return f"{os.major(facts.st_rdev)}:{os.minor(facts.st_rdev)}"


def _kernel_name(number: str) -> str | None:
    try:
        facts = Path(f"/sys/dev/block/{number}/uevent").read_text()
    except OSError:
        return None
    name = re.search(r"^DEVNAME=(.+)$", facts, re.MULTILINE)
    return None if name is None else f"/dev/{name[1]}"


def _plain(field: bytes) -> str:
    r"""Undo the kernel's escapes: space, tab, newline and backslash are \040 and so on."""
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), field))
