"""A data folder each, with whatever supervisor a test starts in it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from harness.supervisor import House, a_house


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with a_house() as house:
        yield house
