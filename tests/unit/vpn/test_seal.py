"""Secrets in the store are readable with the server's key, and for what they were sealed for, alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from quix.exits import Exit, QuixError
from quix.vpn.seal import Seal


def test_a_secret_opens_for_its_subject_alone(tmp_path: Path) -> None:
    seal = Seal(tmp_path / "vpn.key")
    sealed = seal.close("secret", "b1")
    assert b"secret" not in sealed
    assert seal.open(sealed, "b1") == "secret"
    assert seal.open(sealed, "b2") is None
    assert seal.close("secret", "b1") != sealed


@pytest.mark.parametrize("changed", [0, 12, -1])
def test_what_was_changed_does_not_open(tmp_path: Path, changed: int) -> None:
    seal = Seal(tmp_path / "vpn.key")
    sealed = bytearray(seal.close("secret", "b1"))
    sealed[changed] ^= 1
    assert seal.open(bytes(sealed), "b1") is None
    assert seal.open(b"", "b1") is None


def test_the_key_is_made_once_and_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "vpn.key"
    sealed = Seal(path).close("secret", "b1")
    assert Seal(path).open(sealed, "b1") == "secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.unlink()
    assert Seal(path).open(sealed, "b1") is None


def test_a_key_file_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "vpn.key"
    path.touch(0o600)
    with pytest.raises(QuixError, match=r"vpn\.key: it is no key of 32 bytes; restore it") as caught:
        Seal(path)
    assert caught.value.code is Exit.CONFIG
    path.write_bytes(bytes(32))
    path.chmod(0o644)
    with pytest.raises(QuixError, match="chmod 600"):
        Seal(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(QuixError, match="Is a directory"):
        Seal(path)
    with pytest.raises(QuixError, match="No such file"):
        Seal(Path("/proc/quix"))
