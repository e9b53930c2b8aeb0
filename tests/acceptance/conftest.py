"""A site of its own for each test, and the logs of its processes where the test fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.processes import Site, site


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made
        for log in sorted(tmp_path.glob("*.log")):
            # pytest shows this only where the test fails.
            print(f"--- {log.name}\n{log.read_text()}")
