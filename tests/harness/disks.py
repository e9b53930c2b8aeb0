"""Disks that are small enough to be filled."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def small_disk(folder: Path, size: str, mode: str = "0711") -> Iterator[Path]:
    """A tmpfs(5) of that size on a folder; for root."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode={mode}", "quix-test", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
