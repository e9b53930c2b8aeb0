"""The journal gives back what was written, and takes no harm from what was not."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quix.supervisor.journal import Journal
from quix.supervisor.run import Ended, Run
from quix.wire.runs import Outcome, RunLimits, RunOptions, Terminal

RUN = Run(id="0" * 32, cmd=["sleep", "1"], pid=0, start=5, boot_id="b", started_at=1.5, mark=0)
STARTED = msgspec.structs.replace(RUN, pid=4242, start=1234567)

text = st.text(max_size=20)
seconds = st.floats(0, 2**33)
limits = st.builds(RunLimits, memory=st.integers(2**20, 2**53), time=st.floats(0.001, 1e8))
options = st.builds(
    RunOptions,
    env=st.dictionaries(st.from_regex(r"[A-Z_]{1,5}", fullmatch=True), text, max_size=2),
    title=st.from_regex(r"[^\x00-\x1f\x7f]{0,20}", fullmatch=True),
    limits=limits,
    restart=st.sampled_from(["never", "on-failure", "always"]),
    stdin=st.sampled_from(["none", "pipe"]),
    terminal=st.builds(Terminal, rows=st.integers(1, 65535), columns=st.integers(1, 65535)),
    overflow=st.sampled_from(["drop", "wait"]),
)
ends = st.builds(
    Ended, outcome=st.sampled_from(Outcome), at=seconds, exit_code=st.none() | st.integers(0, 255), detail=text
)
runs = st.builds(
    Run,
    id=st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True),
    keyed=st.booleans(),
    options=options,
    limits=limits,
    proc_id=st.integers(0, 2**31 - 1),
    restarts=st.integers(0, 2**31),
    next_start=st.none() | seconds,
    last=st.none() | ends,
    stopped=st.booleans(),
    ended=st.none() | ends,
    acknowledged=st.booleans(),
    cmd=st.lists(text, min_size=1, max_size=4),
    pid=st.integers(0, 2**31 - 1),
    start=st.integers(0, 2**53),
    boot_id=text,
    started_at=seconds,
    mark=st.integers(0, 2**32 - 1),
)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path)
    yield journal
    journal.close()


@settings(deadline=None)  # the disk takes as long as it takes
@given(st.lists(runs, max_size=4, unique_by=lambda run: run.id))
def test_what_is_written_is_read_back(written: list[Run]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder))
        for run in written:
            journal.plan(run)
        assert journal.read_all() == sorted(written, key=lambda run: run.id)
        for run in written:
            journal.remove(run.id)
        assert list(Path(folder).iterdir()) == []
        journal.close()


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_set_aside(data: bytes) -> None:
    check_aside(data)


@given(st.integers(0, len(msgspec.json.encode(STARTED)) - 1))
def test_a_file_that_was_torn_anywhere_is_set_aside(length: int) -> None:
    check_aside(msgspec.json.encode(STARTED)[:length])


@given(st.integers(0, len(msgspec.json.encode(STARTED)) - 1), st.integers(0, 255))
def test_a_byte_that_changed_gives_a_run_or_is_set_aside(index: int, byte: int) -> None:
    data = bytearray(msgspec.json.encode(STARTED))
    data[index] = byte
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"{RUN.id}.json").write_bytes(data)
        journal = Journal(Path(folder))
        for run in journal.read_all():
            assert run.id == RUN.id
            assert 0 <= run.pid < 2**31
        journal.close()


def check_aside(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{RUN.id}.json"
        path.write_bytes(data)
        journal = Journal(Path(folder))
        assert journal.read_all() == []
        assert [each.name for each in Path(folder).iterdir()] == [path.name + ".bad"]
        assert journal.read_all() == [], "and it stays aside"
        journal.close()


@pytest.mark.parametrize(
    "change",
    [
        {"id": "1" * 32}, {"id": "../../../etc/passwd"}, {"pid": -1}, {"pid": 2**31}, {"pid": "1"}, {"start": -1},
        {"cmd": []}, {"cmd": "sleep"}, {"mark": 2**32}, {"options": {"restart": "x"}},
        {"id": "a.stdout"}, {"ended": {"outcome": "exited"}},
    ],
    ids=str,
)  # fmt: skip
def test_values_that_no_run_has_are_set_aside(change: dict[str, object]) -> None:
    check_aside(msgspec.json.encode(msgspec.to_builtins(STARTED) | change))


@pytest.mark.parametrize("sync", [False, True])
def test_a_start_takes_the_place_of_the_plan(journal: Journal, tmp_path: Path, sync: bool) -> None:
    journal.plan(RUN)
    journal.update(STARTED, sync=sync)
    assert journal.read_all() == [STARTED]
    assert len(list(tmp_path.iterdir())) == 1


def test_an_update_that_was_torn_leaves_what_was_before_and_is_cleared_away(journal: Journal, tmp_path: Path) -> None:
    """A supervisor that is killed while it writes has not renamed the file yet."""
    journal.plan(RUN)
    (tmp_path / f"{RUN.id}.json.new").write_bytes(msgspec.json.encode(STARTED)[:20])
    assert journal.read_all() == [RUN]
    assert [path.name for path in tmp_path.iterdir()] == [f"{RUN.id}.json"]
    journal.update(STARTED)
    assert journal.read_all() == [STARTED]


def test_a_plan_never_takes_the_place_of_a_run(journal: Journal) -> None:
    journal.plan(STARTED)
    with pytest.raises(FileExistsError):
        journal.plan(RUN)


def test_what_is_not_there_can_be_removed(journal: Journal) -> None:
    journal.remove("f" * 32)
    assert journal.read_all() == []


def test_files_are_private(journal: Journal, tmp_path: Path) -> None:
    journal.plan(RUN)
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_link_is_not_followed(journal: Journal, tmp_path: Path) -> None:
    target = tmp_path / "target.bad"
    target.write_bytes(msgspec.json.encode(STARTED))
    (tmp_path / f"{RUN.id}.json").symlink_to(target)
    assert journal.read_all() == []
    assert target.exists()
