"""Peers in the states that the tests start from."""

from __future__ import annotations

import pytest
from hypothesis import settings

from harness.wire import TOKEN
from quix.wire.peer import Limits, Peer

# The machine that runs the tests may be busy; a slow example is no failure of the protocol.
settings.register_profile("quix", deadline=None)
settings.load_profile("quix")


@pytest.fixture
def peer() -> Peer[str]:
    """A connection on which nobody has authenticated."""
    return Peer(Limits())


@pytest.fixture
def accepted(peer: Peer[str]) -> Peer[str]:
    """An authenticated connection without extensions."""
    peer.accept(TOKEN, {})
    return peer
