"""From a command to what exec takes, and from exec's errors to reasons."""

from __future__ import annotations

import errno
import os

import pytest

from quix.supervisor import command
from quix.wire.reasons import Reason, Refusal


def test_arguments_are_utf_8() -> None:
    assert command.encode(["sh", "", "ü", "a b"]) == [b"sh", b"", "ü".encode(), b"a b"]


def test_a_name_is_looked_up_in_path() -> None:
    assert command.resolve(b"sh") in (b"/usr/bin/sh", b"/bin/sh")


@pytest.mark.parametrize("program", [b"./x", b"/x", b"a/b", b"../x", b"/"])
def test_what_has_a_slash_is_left_to_exec(program: bytes) -> None:
    assert command.resolve(program) == program


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (b"no-such-program", Reason.COMMAND_NOT_FOUND),
        (b".", Reason.PERMISSION_DENIED),
        (b"..", Reason.PERMISSION_DENIED),
        (b"x" * 5000, Reason.COMMAND_NOT_FOUND),
    ],
    ids=["missing", "folder", "folder above", "long"],
)
def test_a_name_that_cannot_be_executed(program: bytes, reason: Reason) -> None:
    with pytest.raises(Refusal) as caught:
        command.resolve(program)
    assert caught.value.reason is reason
    assert len(caught.value.detail) < 300


@pytest.mark.parametrize(
    ("number", "exists", "reason"),
    [
        (errno.ENOENT, False, Reason.COMMAND_NOT_FOUND),
        (errno.ENOTDIR, False, Reason.COMMAND_NOT_FOUND),
        (errno.ENOENT, True, Reason.SPAWN_FAILED),
        (errno.EACCES, True, Reason.PERMISSION_DENIED),
        (errno.EACCES, False, Reason.PERMISSION_DENIED),
        (errno.ENOEXEC, True, Reason.SPAWN_FAILED),
        (errno.E2BIG, True, Reason.SPAWN_FAILED),
        (errno.ENOMEM, True, Reason.SPAWN_FAILED),
    ],
    ids=lambda value: os.strerror(value) if isinstance(value, int) and not isinstance(value, bool) else None,
)
def test_what_an_error_of_exec_means(number: int, exists: bool, reason: Reason) -> None:
    refusal = command.exec_refusal(number, b"prog", exists=exists)
    assert refusal.reason is reason
    assert refusal.detail.startswith("prog: ")
