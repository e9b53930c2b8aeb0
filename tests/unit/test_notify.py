"""What a service manager hears."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from quix import notify


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_facts_arrive_as_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name if kind == "abstract" else name)
        listening.settimeout(5)
        monkeypatch.setenv(notify.VARIABLE, "@" + name if kind == "abstract" else name)
        assert notify.tell("READY=1", "STATUS=ü") == ""
        assert listening.recv(99) == "READY=1\nSTATUS=ü".encode()


def test_without_a_service_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(notify.VARIABLE, raising=False)
    assert notify.tell("READY=1") == ""


def test_one_that_is_gone_or_does_not_read_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = str(tmp_path / "notify")
    monkeypatch.setenv(notify.VARIABLE, name)
    assert f"{notify.VARIABLE}: {name}: " in notify.tell("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name)
        outcomes = [notify.tell("STATUS=" + "x" * 1000) for _ in range(2000)]
    assert outcomes[0] == ""
    assert "temporarily unavailable" in outcomes[-1]
