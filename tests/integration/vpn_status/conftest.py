"""A network namespace of one's own for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.namespaces import Namespace, numbers


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Namespace]:
    namespace = Namespace(tmp_path)
    yield namespace
    namespace.end()


@pytest.fixture
def ifname() -> str:
    """A name that no other test's interface has: a WireGuard socket is seen from every namespace."""
    return f"qx{os.getpid()}n{next(numbers)}"
