"""Enrolment keys."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from quix.client.aio.calls import AsyncCalls
from quix.client.models import Enrolment, MadeEnrolment
from quix.client.paths import segment


class AsyncEnrolmentCalls(AsyncCalls):
    """The part of the client that is about how machines become backends."""

    def enrolments(self) -> AsyncGenerator[Enrolment]:
        """Yield the enrolment keys that are not over, the oldest first."""
        return self._pages("/enrolments", Enrolment)

    async def add_enrolment(
        self,
        *,
        expires: int = 3600,
        uses: int = 1,
        labels: Mapping[str, str] | None = None,
        vpn: str = "",
        server: str = "",
    ) -> MadeEnrolment:
        """Make an enrolment key, for `expires` seconds and as many machines as `uses`, each of which is given the
        `labels`. What it returns holds the line for a machine's shell, and with it the secret, this once.

        With `vpn`, wireguard or openvpn, agents bring that tunnel up. `server` is the URL that agents dial where the
        server cannot know it, as behind a proxy: wss://HOST[:PORT]/wsi.
        """
        body: dict[str, object] = {"expires": expires, "uses": uses, "labels": dict(labels or {})}
        body |= {name: text for name, text in {"vpn": vpn, "server": server}.items() if text}
        return await self._connection.call("POST", "/enrolments", MadeEnrolment, body=body)

    async def end_enrolment(self, enrolment_id: str) -> None:
        """End an enrolment key; the machines that have enrolled with it stay."""
        await self._connection.send("DELETE", f"/enrolments/{segment(enrolment_id, 'enrolment_id')}")
