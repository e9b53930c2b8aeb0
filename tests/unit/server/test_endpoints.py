"""Where peers were is kept, and nothing else is made of it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from quix.server.endpoints import Endpoints
from quix.vpn.interface import PeerStatus


def peer(key: str, endpoint: str, handshake: int = 1) -> PeerStatus:
    return PeerStatus(key, endpoint, handshake, 0, 0)


def test_what_was_seen_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "endpoints"
    endpoints = Endpoints(path)
    assert endpoints.known == {}
    endpoints.note([peer("a", "192.0.2.7:1"), peer("b", "[2001:db8::7]:51820"), peer("c", ""), peer("d", "h:1", 0)])
    assert Endpoints(path).known == endpoints.known == {"a": "192.0.2.7:1", "b": "[2001:db8::7]:51820"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    endpoints.note([peer("b", "192.0.2.8:2")])
    assert Endpoints(path).known == {"b": "192.0.2.8:2"}


def test_nothing_is_written_where_nothing_moved(tmp_path: Path) -> None:
    path = tmp_path / "endpoints"
    endpoints = Endpoints(path)
    endpoints.note([peer("a", "192.0.2.7:1")])
    path.unlink()
    endpoints.note([peer("a", "192.0.2.7:1", 2)])
    assert not path.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', '{"a": "192.0.2.7:1\\n[Interface]"}', '{"a": "host"}'])
def test_a_file_that_is_damaged_is_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "endpoints"
    path.write_text(content)
    assert Endpoints(path).known == {}


def test_a_disk_that_is_full_stops_nothing(tmp_path: Path) -> None:
    endpoints = Endpoints(tmp_path / "file" / "endpoints")
    (tmp_path / "file").touch()
    endpoints.note([peer("a", "192.0.2.7:1")])
    assert endpoints.known == {"a": "192.0.2.7:1"}
