"""Peers in the states that the tests start from, and short ways to write and read messages."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import settings

from quix.wire.peer import Limits, Peer

# The machine that runs the tests may be busy; a slow example is no failure of the protocol.
settings.register_profile("quix", deadline=None)
settings.load_profile("quix")

TOKEN = "kM0dYy3RjPq1"


class Wire:
    """Reads and writes messages in the form in which the protocol's page shows them."""

    token = TOKEN

    @staticmethod
    def bytes_of(message: Any) -> bytes:
        return msgspec.json.encode(message)

    @staticmethod
    def request(req: str, rid: int = 1, msg: Any = None, **more: Any) -> bytes:
        return msgspec.json.encode({**more, "req": req, "rid": rid, "msg": {} if msg is None else msg})

    @staticmethod
    def read(data: bytes | None) -> Any:
        assert data is not None
        return msgspec.json.decode(data)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def peer() -> Peer[str]:
    """A connection on which nobody has authenticated."""
    return Peer(Limits())


@pytest.fixture
def accepted(peer: Peer[str]) -> Peer[str]:
    """An authenticated connection without extensions."""
    peer.accept(TOKEN, {})
    return peer
