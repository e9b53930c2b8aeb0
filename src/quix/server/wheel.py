"""This very Quix as a wheel, for machines that install it from their own server: the same version, always there.

Made from the files that are installed, whether pip has put them there or an editable install points at them; the
console is left out, which only a server shows. The same files make the same bytes. (The format:
packaging.python.org/en/latest/specifications/binary-distribution-format.)
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from msgspec import Struct

import quix

_DISTRIBUTION: Final = "quix-wsi"
_LEFT_OUT: Final = frozenset({"console", "__pycache__"})
_KEPT: Final = ("METADATA", "entry_points.txt", "licenses/LICENSE")
_WHEEL: Final = "Wheel-Version: 1.0\nGenerator: quix\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can say; the true ones would make other bytes of the same files."""


class Wheel(Struct, frozen=True):
    """`name` is the file's; `digest` the SHA-256 of `body` in hexadecimal digits."""

    name: str
    version: str
    body: bytes
    digest: str

    def __repr__(self) -> str:
        return f"Wheel({self.name!r}, {len(self.body)} bytes)"


@functools.cache
def own() -> Wheel:
    """Return the wheel of this Quix. Blocks for a good tenth of a second, the first time.

    Raises:
        PackageNotFoundError: Quix runs from a folder that nothing has installed.
    """
    installed = metadata.distribution(_DISTRIBUTION)
    info = f"quix_wsi-{installed.version}.dist-info"
    files = dict(_package())
    for name in _KEPT:
        if text := installed.read_text(name):
            files[f"{info}/{name}"] = text.encode()
    files[f"{info}/WHEEL"] = _WHEEL.encode()
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD")
    body = _zipped(files)
    name = f"quix_wsi-{installed.version}-py3-none-any.whl"
    return Wheel(name, installed.version, body, hashlib.sha256(body).hexdigest())


def _package() -> Iterator[tuple[str, bytes]]:
    folder = Path(quix.__file__).parent
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        if path.is_file() and not _LEFT_OUT & set(place.parts):
            yield f"quix/{place.as_posix()}", path.read_bytes()


def _record(files: dict[str, bytes], itself: str) -> bytes:
    lines = []
    for name, body in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(body)}\n")
    return "".join([*lines, f"{itself},,\n"]).encode()


def _zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, body in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), body, zipfile.ZIP_DEFLATED)
    return stream.getvalue()
