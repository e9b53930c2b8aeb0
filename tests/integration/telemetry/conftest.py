"""Real file systems on real (loop) block devices."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def run() -> Callable[..., str]:
    return _run


def _run(*command: str | Path) -> str:
    """Run a program to its end and return what it printed; its complaints are in the error."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    """A loop device of 16 MiB with an empty ext4 on it."""
    image = tmp_path / "disk.img"
    with image.open("wb") as stream:
        stream.truncate(16 * 2**20)
    _run("mkfs.ext4", "-q", image)
    device = _run("losetup", "--find", "--show", image).strip()
    yield device
    _run("losetup", "--detach", device)


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """`mount(source, name, *options)` mounts on a new folder, or again on an old one, until the test is over."""
    points: list[Path] = []

    def do(source: str | Path, name: str, *options: str) -> Path:
        point = tmp_path / name
        point.mkdir(exist_ok=True)
        _run("mount", *options, source, point)
        points.append(point)
        return point

    yield do
    for point in reversed(points):
        _run("umount", point)
