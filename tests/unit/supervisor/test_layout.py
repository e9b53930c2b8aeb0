"""Whose the folders are, and the way to the programs'."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.supervisor import walkable_folder
from quix.exits import QuixError
from quix.supervisor.account import Account, Owner, resolve_agent
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
    layout.prepare_supervisor()
    first = lock(layout)
    assert first is not None
    assert lock(layout) is None
    os.close(first)
    again = lock(layout)
    assert again is not None
    os.close(again)


def shown(path: Path) -> tuple[int, int]:
    return path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)


@pytest.mark.root
def test_each_folder_has_its_owner(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "a")
    layout.prepare(SOMEBODY, Owner(60800, 60800))
    assert [shown(path) for path in (layout.root, layout.supervisor, layout.runs, layout.agent, layout.data)] == [
        (0, 0o711), (0, 0o711), (0, 0o700), (60800, 0o700), (61000, 0o700),
    ]  # fmt: skip
    layout.prepare(SOMEBODY, Owner(60900, 60900))
    assert shown(layout.agent) == (60900, 0o700)
    layout.prepare(SOMEBODY)
    assert shown(layout.supervisor) == (0, 0o700)
    assert shown(layout.agent) == (60900, 0o700), "the agent's own is left alone where it is root's"


@pytest.mark.root
@pytest.mark.parametrize("name", ["supervisor", "agent", "data"])
def test_a_link_in_place_of_a_folder_leads_nowhere(tmp_path: Path, name: str) -> None:
    target = tmp_path / "target"
    target.mkdir(mode=0o755)
    layout = Layout(tmp_path / "a")
    layout.root.mkdir()
    (layout.root / name).symlink_to(target)
    with pytest.raises(QuixError, match=f"{name}: Not a directory"):
        layout.prepare(SOMEBODY, Owner(60800, 60800))
    assert shown(target) == (0, 0o755)


@pytest.mark.root
def test_whether_there_is_a_service(tmp_path: Path) -> None:
    with walkable_folder() as folder:
        folder.chmod(0o755)
        layout = Layout(folder)
        assert not _as_user(lambda: layout.has_service)
        layout.supervisor.mkdir()
        assert _as_user(lambda: layout.has_service)
        assert not layout.has_service, "to root, it is one like any other"
        os.chown(layout.supervisor, 60800, 60800)
        assert not _as_user(lambda: layout.has_service)
        folder.chmod(0o700)
        with pytest.raises(QuixError, match="Permission denied"):
            _as_user(lambda: layout.has_service)


def _as_user(ask: Callable[[], bool]) -> bool:
    """Ask with another effective uid."""
    os.seteuid(60800)
    try:
        return ask()
    finally:
        os.seteuid(0)


@pytest.mark.root
def test_the_agents_user() -> None:
    programs = Account(61000, 61001, switches=True)
    assert resolve_agent("", programs) is None
    assert resolve_agent("nobody", programs) == resolve_agent("65534", programs) == Owner(65534, 65534)
    assert resolve_agent("60800", programs) == Owner(60800, 60800)
    assert resolve_agent("61000", Account(0, 0, switches=False)) == Owner(61000, 61000)
    for user in ("61000", "0", "root", "no-such-user", "4294967295", "99999999999", "-1", "1:1", "\u0661"):
        with pytest.raises(QuixError, match="agent_user: "):
            resolve_agent(user, programs)
