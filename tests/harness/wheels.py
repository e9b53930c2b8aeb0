"""What the agent needs of PyPI, in a folder, for machines that have no way out to it."""

from __future__ import annotations

import sys
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement

from harness.lan import run

_EXTRAS = ("", "agent", "vpn")


def fetch(folder: Path) -> dict[str, str]:
    """Fetch it; return the variables by which pip takes it from there, and asks nobody."""
    environment, found = folder / "environment", folder / "found"
    run(sys.executable, "-m", "venv", environment, seconds=120)
    wanted = [Requirement(text) for text in requires("quix-wsi") or []]
    marked = [each for each in wanted if not each.marker or any(each.marker.evaluate({"extra": e}) for e in _EXTRAS)]
    words = sorted({f"{each.name}{each.specifier}" for each in marked})
    run(environment / "bin" / "pip", "download", "--quiet", "--dest", found, *words, seconds=120)
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(found)}
