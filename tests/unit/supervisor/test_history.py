"""Ended runs stay until their end is acknowledged, and then within bounds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from quix.supervisor import history
from quix.supervisor.history import History
from quix.supervisor.journal import Journal
from quix.supervisor.run import Ended, Run
from quix.wire.runs import Outcome


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path)
    yield journal
    journal.close()


@pytest.fixture
def kept(tmp_path: Path, journal: Journal) -> History:
    return History(tmp_path, journal)


def a_run(name: str, *, ago: float = 0, acknowledged: bool = False, cmd: str = "x") -> Run:
    return Run(
        id=name, keyed=True, cmd=[cmd], pid=1, start=0, boot_id="b", started_at=0, mark=0, acknowledged=acknowledged,
        ended=Ended(outcome=Outcome.EXITED, at=time.time() - ago, exit_code=0),
    )  # fmt: skip


def ids(kept: History) -> list[str]:
    return sorted(run.id for run in kept)


def add(kept: History, journal: Journal, run: Run, output: bytes = b"") -> None:
    journal.plan(run)
    (kept._folder / f"{run.id}.stdout").write_bytes(output)
    kept.add(run)


def test_what_is_not_acknowledged_stays_whatever_it_takes(
    kept: History, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MAX_RUNS", 1)
    monkeypatch.setattr(history, "MAX_BYTES", 1)
    monkeypatch.setattr(history, "MAX_RECORDS", 1)
    for number in range(5):
        add(kept, journal, a_run(f"r{number}", ago=10 * history.MAX_AGE), b"x" * 10_000)
    assert ids(kept) == ["r0", "r1", "r2", "r3", "r4"]
    kept.acknowledge("r2")
    assert ids(kept) == ["r0", "r1", "r3", "r4"]


def test_an_acknowledgement_is_on_the_disk_and_may_be_repeated(kept: History, journal: Journal) -> None:
    add(kept, journal, a_run("r"))
    kept.acknowledge("r")
    kept.acknowledge("r")
    kept.acknowledge("nobody knows this one")
    (found,) = journal.read_all()
    assert found.acknowledged
    assert kept.get("r") == found


def test_the_oldest_go_when_there_are_too_many(
    kept: History, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MAX_RUNS", 3)
    for number, ago in enumerate((10, 50, 20, 40, 30)):
        add(kept, journal, a_run(f"r{number}", ago=ago, acknowledged=True))
    assert ids(kept) == ["r0", "r2", "r4"]
    assert sorted(run.id for run in journal.read_all()) == ["r0", "r2", "r4"]


def test_age_ends_it(kept: History, journal: Journal) -> None:
    add(kept, journal, a_run("old", ago=history.MAX_AGE + 5, acknowledged=True))
    add(kept, journal, a_run("young", ago=history.MAX_AGE - 60, acknowledged=True))
    assert ids(kept) == ["young"]


def test_output_takes_no_more_room_than_it_may_and_goes_with_its_run(
    kept: History, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MAX_BYTES", 100_000)
    for number in range(4):
        add(kept, journal, a_run(f"r{number}", ago=10 - number, acknowledged=True), b"x" * 40_960)
    assert ids(kept) == ["r2", "r3"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r2.json", "r2.stdout", "r3.json", "r3.stdout"]


def test_long_commands_count_too(kept: History, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MAX_RECORDS", 100_000)
    for number in range(4):
        add(kept, journal, a_run(f"r{number}", ago=10 - number, acknowledged=True, cmd="x" * 40_000))
    assert ids(kept) == ["r2", "r3"]


def test_no_further_run_while_too_many_ends_are_untold(
    kept: History, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MAX_UNTOLD", 2)
    add(kept, journal, a_run("told", acknowledged=True))
    found = []
    for name in ("a", "b"):
        add(kept, journal, a_run(name))
        found.append(kept.is_full)
    kept.acknowledge("a")
    found.append(kept.is_full)
    monkeypatch.setattr(history, "MAX_UNTOLD_RECORDS", 10)
    assert [*found, kept.is_full] == [False, True, False, True]
