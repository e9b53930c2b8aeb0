"""What a machine that is to be a backend fetches from its server: `/install`, a script for sh, and the wheel it names.

Answered at the agents' door, which is the one that such a machine reaches, and to everybody: both are public, and the
script holds no secret. A wheel is some hundreds of kilobytes, so there are only so many a minute.
"""

from __future__ import annotations

import functools
import re
import time
from collections import deque
from collections.abc import Callable
from importlib import metadata, resources
from typing import Final

from picows import WSUpgradeResponse

from quix import logs
from quix.server import wheel
from quix.server.certificate import fingerprint_of, public_key_pin, tls_files
from quix.server.settings import ServerSettings

log = logs.get(__name__)

PATH: Final = b"/install"
WHEELS_A_MINUTE: Final = 300

_SCRIPT: Final = "text/x-shellscript; charset=utf-8"
_HEADERS: Final = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))
_SAFE: Final = re.compile(r"[A-Za-z0-9.:/+=_!-]*")
"""What may stand between the single quotes of the script."""


class Installer:
    """Answers of one server. `clock` gives seconds, and never goes back."""

    def __init__(self, settings: ServerSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._handed_out: deque[float] = deque()

    def answer(self, path: bytes) -> WSUpgradeResponse | None:
        """Return the answer to a GET of `path`; None where it is none of these."""
        if path != PATH and not path.startswith(PATH + b"/"):
            return None
        try:
            own = wheel.own()
        except metadata.PackageNotFoundError:
            log.warning("machines cannot install Quix from here, where it is not installed itself")
            return _error(404, "Quix is not installed on the server, but run from its source")
        if path == PATH:
            return _ok(self._script, _SCRIPT)
        if path != PATH + b"/" + own.name.encode():
            return _error(404, f"this server has {own.name}")
        return _ok(own.body, "application/zip") if self._may_hand_out() else _error(503, "too many at once; try again")

    @functools.cached_property
    def _script(self) -> bytes:
        """The script, which checks that it gets this very wheel. Made once: whoever asks again and again, for which
        nobody has to log in, must not keep the loop of all agents at reading files."""
        own = wheel.own()
        files = tls_files(self._settings) if self._settings.tls_self_signed else None
        values = {
            "VERSION": own.version,
            "WHEEL": own.name,
            "DIGEST": own.digest,
            "PIN": public_key_pin(self._settings),
            "FINGERPRINT": fingerprint_of(files[0]) if files else "",
        }
        text = resources.files("quix").joinpath("server", "install.sh").read_text()
        for name, value in values.items():
            assert _SAFE.fullmatch(value), name
            text = text.replace(f"@{name}@", value)
        return text.encode()

    def _may_hand_out(self) -> bool:
        now = self._clock()
        while self._handed_out and now - self._handed_out[0] >= 60:
            self._handed_out.popleft()
        if len(self._handed_out) >= WHEELS_A_MINUTE:
            return False
        self._handed_out.append(now)
        return True


def _ok(body: bytes, content_type: str) -> WSUpgradeResponse:
    response: WSUpgradeResponse = WSUpgradeResponse.create_ok_response(
        body, [("Content-Type", content_type), *_HEADERS]
    )
    return response


def _error(status: int, text: str) -> WSUpgradeResponse:
    response: WSUpgradeResponse = WSUpgradeResponse.create_error_response(status, text.encode() + b"\n", list(_HEADERS))
    return response
