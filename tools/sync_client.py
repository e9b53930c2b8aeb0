"""Writes the synchronous client, `src/quix/client/*.py`, from the asynchronous one in `src/quix/client/aio`.

`--check` writes nothing, and fails where a file is not what would be written. `make sdk` runs it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import unasync  # type: ignore[import-untyped]

CLIENT: Final = Path(__file__).parents[1] / "src" / "quix" / "client"
SOURCES: Final = CLIENT / "aio"

_RUFF: Final = Path(sys.executable).with_name("ruff")

_HEADER: Final = "# Made from aio/{name} by tools/sync_client.py: change that, and run `make sdk`.\n\n"

_NAMES: Final = {
    "aclose": "close",
    "aclosing": "closing",
    "aiter_bytes": "iter_bytes",
    "anext": "next",
    "aread": "read",
    # Of which only `sleep` is used.
    "asyncio": "time",
}
"""Beside what unasync knows by itself (`async`, `await`, `__aenter__`, `AsyncGenerator` and the like)."""


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` compare them. Return the exit status."""
    made = synchronous()
    if arguments == ["--check"]:
        stale = [name for name, text in made.items() if not _is(CLIENT / name, text)]
        for name in stale:
            print(f"{CLIENT / name} is not what aio/{name} makes; run `make sdk`", file=sys.stderr)
        return 1 if stale else 0
    for name, text in made.items():
        (CLIENT / name).write_text(text)
    return 0


def synchronous() -> dict[str, str]:
    """Return the text of each file of the synchronous client, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "aio"), Path(folder, "made")
        source.mkdir()
        for path in _sources():
            (source / path.name).write_text(path.read_text())
        rule = unasync.Rule(f"{source}/", f"{made}/", {**_NAMES, **_classes()})
        unasync.unasync_files([str(source / path.name) for path in _sources()], [rule])
        return {path.name: _finished(path.name, path.read_text()) for path in sorted(made.iterdir())}


def _finished(name: str, text: str) -> str:
    """Return a file with what unasync leaves to be done: the names of modules, their order, and the layout."""
    text = _HEADER.format(name=name) + text.replace("quix.client.aio.", "quix.client.")
    # Unsafe is, in its words, `yield from` in place of a loop.
    for command in (["check", "--fix", "--unsafe-fixes", "--quiet"], ["format", "--quiet"]):
        filename = f"--stdin-filename={CLIENT / name}"
        text = subprocess.run(
            [_RUFF, *command, filename, "-"], input=text, stdout=subprocess.PIPE, text=True, check=True
        ).stdout
    return text


def _sources() -> list[Path]:
    return sorted(path for path in SOURCES.glob("*.py") if path.name != "__init__.py")


def _classes() -> dict[str, str]:
    """Return what each class is called without its `Async`; unasync by itself would call it `Sync...`."""
    words = {word for path in _sources() for word in path.read_text().split("class Async")[1:]}
    names = {word.split("(")[0].split(":")[0] for word in words}
    return {f"Async{name}": name for name in names}


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
