"""The log never stands in the way of what it tells of."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from quix.supervisor import log


def test_a_line_is_an_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    monkeypatch.setattr(log, "_STDERR", descriptor)
    log.event("info", "one\ntwo", run="k", pids=[1, 2])
    os.close(descriptor)
    (line,) = path.read_text().splitlines()
    said = json.loads(line)
    assert said.pop("timestamp").endswith("+00:00")
    assert said == {"level": "info", "event": "one\ntwo", "run": "k", "pids": [1, 2]}


def test_a_full_disk_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full answers every write with ENOSPC (full(4))."""
    descriptor = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(log, "_STDERR", descriptor)
    log.event("error", "the disk is full")
    os.close(descriptor)
