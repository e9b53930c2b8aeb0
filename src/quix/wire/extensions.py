"""What this build can do beyond the seed's page, and how two peers agree on it (docs/protocol.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SUBPROTOCOL: Final = "quix-wsi.1"
"""The WebSocket subprotocol by which an agent offers extensions (RFC 6455 section 1.9)."""

AGENT: Final = "agent"
PROCESS: Final = "process"
TELEMETRY: Final = "telemetry"
TOKEN: Final = "token"  # noqa: S105 - the name of an extension
VPN: Final = "vpn"

SUPPORTED: Final[Mapping[str, int]] = {AGENT: 1, PROCESS: 1, TELEMETRY: 1, TOKEN: 1, VPN: 1}
"""Name and highest version of every extension this build speaks."""


def agree(offered: Mapping[str, int], supported: Mapping[str, int] = SUPPORTED) -> dict[str, int]:
    """Return the extensions both sides have, each at the highest version both know.

    Versions start at 1; a name offered with anything lower is not offered at all.
    """
    return {name: min(offered[name], version) for name, version in supported.items() if offered.get(name, 0) >= 1}
