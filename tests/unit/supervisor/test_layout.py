"""The way to the programs' folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.supervisor import walkable_folder
from quix.supervisor.account import Account
from quix.supervisor.layout import Layout, lock

SOMEBODY = Account(61000, 61001, switches=True)


@pytest.mark.parametrize(
    ("mode", "owner", "blocked"),
    [
        (0o700, (0, 0), True), (0o711, (0, 0), False), (0o755, (0, 0), False), (0o750, (0, 61001), False),
        (0o700, (61000, 0), False), (0o077, (61000, 0), True), (0o707, (0, 61001), True),
    ],
)  # fmt: skip
@pytest.mark.root
def test_the_first_folder_that_is_closed(mode: int, owner: tuple[int, int], blocked: bool) -> None:
    with walkable_folder() as top:
        top.chmod(0o755)
        folder = top / "a"
        inner = folder / "b"
        inner.mkdir(parents=True)
        os.chown(folder, *owner)
        folder.chmod(mode)
        assert Layout(inner).obstacle(SOMEBODY) == (folder if blocked else None)
        assert Layout(inner).obstacle(Account(0, 0, switches=False)) is None


def test_one_holds_the_lock(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.prepare_agent()
    first = lock(layout)
    assert first is not None
    assert lock(layout) is None
    os.close(first)
    again = lock(layout)
    assert again is not None
    os.close(again)
