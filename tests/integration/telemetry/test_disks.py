"""`disk_util`, on real disks."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quix.agent.disks import DiskMeter, block_mounts

Run = Callable[..., str]
Mounter = Callable[..., Path]
Df = Callable[[Path], list[int]]

root_only = pytest.mark.root


@pytest.fixture
def df(run: Run) -> Df:
    """What df(1) says: [bytes used, bytes free to users]."""
    return lambda point: [int(word) for word in run("df", "--block-size=1", "--output=used,avail", point).split()[-2:]]


async def test_the_disk_below_this_folder_has_the_figures_of_df(tmp_path: Path, df: Df, run: Run) -> None:
    device = run("df", "--output=source", tmp_path).split()[-1]
    if not Path(device).is_block_device():
        pytest.skip(f"{tmp_path} lies on {device}, which is no block device")
    usage = await DiskMeter().usage()
    used, free = df(tmp_path)
    # Others write to this disk while we look.
    assert usage[device] == [pytest.approx(used, abs=2**28), pytest.approx(free, abs=2**28)]


@root_only
async def test_a_mounted_disk_is_told_to_the_byte(disk: str, mount: Mounter, df: Df) -> None:
    point = mount(disk, "point")
    (point / "file").write_bytes(bytes(3 * 2**20))
    os.sync()
    assert (await DiskMeter().usage())[disk] == df(point)


@root_only
async def test_a_disk_that_is_not_mounted_is_not_told(disk: str) -> None:
    assert disk not in await DiskMeter().usage()


@root_only
async def test_only_block_devices_are_told(mount: Mounter) -> None:
    before = await DiskMeter().usage()
    mount("tmpfs", "memory", "-t", "tmpfs")
    assert (await DiskMeter().usage()).keys() == before.keys()


@root_only
async def test_a_mount_that_only_calls_itself_a_disk_is_not_believed(disk: str, mount: Mounter) -> None:
    mount(disk, "liar", "-t", "tmpfs")
    assert disk not in await DiskMeter().usage()


@root_only
async def test_a_disk_that_is_mounted_twice_is_told_once(disk: str, mount: Mounter, df: Df) -> None:
    point = mount(disk, "point")
    mount(point, "again", "--bind")
    mount(disk, "elsewhere")
    numbers = [one.number for one in block_mounts(Path("/proc/self/mountinfo").read_bytes()) if one.device == disk]
    assert len(numbers) == 3
    assert len(set(numbers)) == 1
    assert (await DiskMeter().usage())[disk] == df(point)


@root_only
async def test_a_hidden_mount_is_not_given_the_figures_of_the_one_above(disk: str, mount: Mounter, df: Df) -> None:
    point = mount(disk, "point")
    mount("tmpfs", "point", "-t", "tmpfs", "-o", "size=1m")
    assert disk not in await DiskMeter().usage()
    (point / "file").write_bytes(bytes(2**19))
    elsewhere = mount(disk, "elsewhere")
    assert (await DiskMeter().usage())[disk] == df(elsewhere)


@root_only
async def test_a_mount_point_of_any_name_is_found(disk: str, mount: Mounter, df: Df) -> None:
    point = mount(disk, "a b\tc\\040\nd - e")
    assert (await DiskMeter().usage())[disk] == df(point)


@root_only
async def test_a_disk_that_was_mounted_by_another_name_is_told_by_the_kernels(
    disk: str, mount: Mounter, tmp_path: Path, df: Df
) -> None:
    alias = tmp_path / "alias"
    os.mknod(alias, 0o600 | 0o060000, Path(disk).stat().st_rdev)
    point = mount(alias, "point")
    usage = await DiskMeter().usage()
    assert str(alias) not in usage
    assert usage[disk] == df(point)


@root_only
@pytest.mark.skipif(shutil.which("mkfs.btrfs") is None, reason="needs btrfs-progs")
async def test_the_subvolumes_of_one_btrfs_are_told_once(mount: Mounter, tmp_path: Path, df: Df, run: Run) -> None:
    image = tmp_path / "btrfs.img"
    with image.open("wb") as stream:
        stream.truncate(128 * 2**20)
    run("mkfs.btrfs", "-q", image)
    device = run("losetup", "--find", "--show", image).strip()
    try:
        point = mount(device, "point")
        run("btrfs", "subvolume", "create", point / "sub")
        sub = mount(device, "sub", "-o", "subvol=sub")
        usage = await DiskMeter().usage()
        assert usage[device] == df(point) == df(sub)
    finally:
        run("losetup", "--detach", device)  # takes effect once it is unmounted


@pytest.fixture
def stuck_disk(disk: str, tmp_path: Path, run: Run) -> Iterator[str]:
    """A disk that is mounted but never answers: a FUSE file system on a block device whose server is silent."""
    libc = ctypes.CDLL(None, use_errno=True)
    point = tmp_path / "stuck"
    point.mkdir()
    server = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={server},rootmode=40000,user_id=0,group_id=0,blksize=512"
    failed = libc.mount(disk.encode(), bytes(point), b"fuseblk", 0, options.encode())
    assert not failed, os.strerror(ctypes.get_errno())
    yield disk
    os.close(server)  # the kernel gives up on it now, and whoever waited gets an error
    deadline = time.monotonic() + 10
    while any(thread.name == "quix-look" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "a look is still stuck"
        time.sleep(0.01)
    run("umount", point)


@root_only
async def test_a_disk_that_hangs_holds_up_neither_the_loop_nor_the_other_disks(stuck_disk: str, run: Run) -> None:
    meter = DiskMeter(patience=0.5)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticker = asyncio.create_task(tick())
    usages = [await meter.usage() for _ in range(3)]
    ticker.cancel()
    device = run("df", "--output=source", "/").split()[-1]
    for usage in usages:
        assert stuck_disk not in usage
        assert device in usage or not Path(device).is_block_device()
    assert ticks > 30, "the loop stood still"
    looks = [thread for thread in threading.enumerate() if thread.name == "quix-look"]
    assert len(looks) == 1, "one thread, however often it was asked"


@root_only
async def test_a_disk_that_answers_again_is_told_again(disk: str, mount: Mounter, df: Df) -> None:
    meter = DiskMeter()
    point = mount(disk, "point")
    first = (await meter.usage())[disk]
    (point / "file").write_bytes(bytes(2**20))
    os.sync()
    assert (await meter.usage())[disk] == df(point) != first
