"""Secrets on disk: private, whole or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from quix.exits import Exit, QuixError
from quix.files import locked, read_private, write_private


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    secret = bytes(range(256))
    write_private(tmp_path / "token", secret)
    assert read_private(tmp_path / "token") == secret


@pytest.mark.usefixtures("open_umask")
def test_the_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    write_private(tmp_path / "token", b"s")
    assert mode_of(tmp_path / "token") == 0o600


@pytest.mark.usefixtures("open_umask")
def test_every_folder_made_on_the_way_is_private(tmp_path: Path) -> None:
    write_private(tmp_path / "agent" / "vpn" / "quix0.conf", b"s")
    assert mode_of(tmp_path / "agent") == 0o700
    assert mode_of(tmp_path / "agent" / "vpn") == 0o700


def test_a_folder_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o711)
    write_private(folder / "token", b"s")
    assert mode_of(folder) == 0o711


def test_a_file_of_a_lax_mode_is_replaced_by_a_private_one(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert mode_of(path) == 0o600
    assert read_private(path) == b"new"


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"untouched")
    (tmp_path / "token").symlink_to(elsewhere)
    write_private(tmp_path / "token", b"s")
    assert elsewhere.read_bytes() == b"untouched"
    assert not (tmp_path / "token").is_symlink()


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.mkdir()  # a file cannot take a folder's name (rename(2), EISDIR)
    with pytest.raises(IsADirectoryError):
        write_private(path, b"s")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o602, 0o644, 0o666])
def test_a_file_that_others_can_read_or_write_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    path.write_bytes(b"hunter2")
    path.chmod(mode)
    with pytest.raises(QuixError, match=f"{mode:04o}.*chmod 600 {path}") as caught:
        read_private(path)
    assert caught.value.code is Exit.CONFIG
    assert "hunter2" not in str(caught.value)


def test_a_file_that_its_owner_may_only_read_is_read(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(b"s")
    path.chmod(0o400)
    assert read_private(path) == b"s"


def test_a_missing_file_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_private(tmp_path / "token")


def test_a_lock_that_is_held_is_refused_and_one_that_was_held_is_not(tmp_path: Path) -> None:
    lock = tmp_path / "server.lock"
    with locked(lock, "another server"):
        with pytest.raises(QuixError, match=f"{tmp_path}: another server") as caught, locked(lock, "another server"):
            pytest.fail("two held it at once")
        assert caught.value.code is Exit.CONFIG
    with locked(lock, "another server"):
        assert mode_of(lock) == 0o600


def test_a_lock_ends_with_the_process_that_held_it(tmp_path: Path) -> None:
    lock = tmp_path / "server.lock"
    code = "import sys, os; from pathlib import Path; from quix.files import locked\n"
    code += "with locked(Path(sys.argv[1]), 'x'): os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code, lock]).returncode == -9
    with locked(lock, "another server"):
        pass
