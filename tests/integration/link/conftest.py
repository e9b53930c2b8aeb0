"""A place to dial, for every test of the link."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from harness.link import LIMITS, Place
from quix.link.listener import listen


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    place = Place()
    server = await listen("127.0.0.1:0", place.make, LIMITS.message_bytes, None, lambda _path: None)
    place.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/wsi"
    place.clock.start()
    yield place
    await place.leave()
    server.close()
