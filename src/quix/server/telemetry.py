"""Asking backends how they are."""

from __future__ import annotations

from collections.abc import Sequence

from quix.server.fleet import Fleet
from quix.wire.messages import STAT_TYPES, TeleData, Telemetry


class Telemeter:
    """Telemetry of backends, measured when it is asked for."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def measure(self, backend_id: str, stat_types: Sequence[str] = STAT_TYPES) -> TeleData:
        """Have a backend measure itself; a kind that it does not know is unset in the answer.

        Raises:
            AskError: the backend did not answer.
        """
        answer = await self._fleet.ask(backend_id, Telemetry(stat_types=list(stat_types)))
        return answer.tele_data
