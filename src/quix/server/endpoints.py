"""Where WireGuard peers were last heard from, kept over restarts.

A peer that has a session with an interface that is no more notices after a quarter of a minute, and waits for us until
then. Where it was is enough for us to begin anew ourselves, at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from quix import logs
from quix.files import write_private
from quix.vpn.interface import PeerStatus

log = logs.get(__name__)

_ENDPOINT: Final = re.compile(r"[0-9A-Za-z.:\[\]%]+:\d{1,5}")


class Endpoints:
    """Kept in the file `path`; its methods block.

    Attributes:
        known: endpoints (HOST:PORT) by public key.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.known = self._read()

    def note(self, peers: Iterable[PeerStatus]) -> None:
        """Keep where these peers are, and forget the others."""
        seen = {peer.public_key: peer.endpoint for peer in peers if peer.endpoint and peer.handshake}
        if seen == self.known:
            return
        self.known = seen
        try:
            write_private(self._path, msgspec.json.encode(seen))
        except OSError as error:
            log.warning("where VPN peers are cannot be saved", path=str(self._path), error=error.strerror)

    def _read(self) -> dict[str, str]:
        try:
            said = msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            log.warning("where VPN peers were cannot be read", path=str(self._path), error=str(error))
            return {}
        return {key: endpoint for key, endpoint in said.items() if _ENDPOINT.fullmatch(endpoint)}
