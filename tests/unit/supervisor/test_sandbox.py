"""What a sandbox says of itself, on kernels that this machine does not have."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quix.supervisor import landlock, marks
from quix.supervisor.sandbox import Sandbox
from quix.supervisor.settings import SandboxMode, SupervisorSettings
from quix.wire.reasons import Reason, Refusal


def sandbox(folder: Path, abi: int, monkeypatch: pytest.MonkeyPatch, mode: SandboxMode = "landlock") -> Sandbox:
    monkeypatch.setattr(landlock, "abi", lambda: abi)
    return Sandbox(SupervisorSettings(data_dir=folder, sandbox=mode))


def test_without_landlock_it_refuses_and_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refusal, match="--sandbox=uid") as caught:
        sandbox(tmp_path, 0, monkeypatch).check()
    assert caught.value.reason is Reason.SANDBOX_UNAVAILABLE


@pytest.mark.parametrize("abi", [1, 5, 6, 9])
def test_signals_are_held_in_from_version_6_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abi: int) -> None:
    described = sandbox(tmp_path, abi, monkeypatch)
    described.check()
    held = described.describe().held
    assert any("system folders" in sentence for sentence in held)
    assert any("signals" in sentence for sentence in held) == (abi >= 6)


def test_no_sandbox_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described = sandbox(tmp_path, 7, monkeypatch, "none")
    described.check()
    assert [sentence for sentence in described.describe().held if "folder by its full path" not in sentence] == []


def test_each_version_of_landlock_knows_more() -> None:
    counts = [landlock.rights(version).bit_count() for version in range(8)]
    assert counts == [0, 13, 14, 15, 15, 16, 16, 16]


@given(st.integers(0, 2**32 - 1))
def test_a_mark_is_a_group_that_nobody_has(number: int) -> None:
    group = marks.mark(number)
    assert marks.mark(number + 1) != group
    assert group in marks.RANGE
    assert 2**16 < group < 2**31
