"""The web console's files: built into `quix/console`, read once, served from memory, compressed when built."""

from __future__ import annotations

import functools
import mimetypes
from pathlib import Path
from typing import Final

from msgspec import Struct

import quix

FOLDER: Final = Path(quix.__file__).parent / "console"

_ENCODINGS: Final = {"br": ".br", "gzip": ".gz"}
"""What bodies are compressed with, the best first, and what the names of such files end in."""


class Asset(Struct, frozen=True):
    """`bodies` by `Content-Encoding`; `identity` is always among them."""

    content_type: str
    bodies: dict[str, bytes]

    def body(self, accept_encoding: str) -> tuple[str, bytes]:
        """Return the smallest body that a request accepts, and its encoding (RFC 9110 section 12.5.3)."""
        accepted = _accepted(accept_encoding)
        for encoding, body in self.bodies.items():
            if encoding in accepted:
                return encoding, body
        return "identity", self.bodies["identity"]


@functools.cache
def assets() -> dict[str, Asset]:
    """Return all files by their path below the root; none where the console was not built."""
    if not FOLDER.is_dir():
        return {}
    files = [path for path in FOLDER.rglob("*") if path.is_file() and path.suffix not in _ENCODINGS.values()]
    return {str(path.relative_to(FOLDER)): _read(path) for path in files}


def _read(path: Path) -> Asset:
    bodies = {}
    for encoding, suffix in _ENCODINGS.items():
        compressed = path.with_name(path.name + suffix)
        if compressed.is_file():
            bodies[encoding] = compressed.read_bytes()
    bodies["identity"] = path.read_bytes()
    # Litestar adds the charset to what is text.
    return Asset(mimetypes.guess_type(path.name)[0] or "application/octet-stream", bodies)


def _accepted(header: str) -> set[str]:
    """Return the encodings that a header names, but those that it refuses by `q=0`."""
    found = set()
    for item in header.lower().split(","):
        name, _, weight = item.partition(";")
        if weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000"):
            found.add(name.strip())
    return found
