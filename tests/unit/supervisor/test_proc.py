"""/proc/PID/stat, whatever the process is called."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from quix.supervisor import proc

FIELDS = b"S 41 4242 40 0 -1 4194304 1 2 3 4 500 60 7000 800 20 0 3 0 123456 1048576 77 18446744073709551615"


def line(name: bytes) -> bytes:
    return b"4242 (" + name + b") " + FIELDS + b"\n"


@given(st.binary(max_size=15))
def test_a_name_may_hold_anything(name: bytes) -> None:
    found = proc.parse_stat(line(name))
    assert found == proc.Stat(
        pid=4242, comm=name.decode(errors="replace"), state="S", ppid=41, session=40, user_system=560, waited=7800,
        threads=3, start=123456, rss=77,
    )  # fmt: skip


def test_names_that_look_like_the_rest_of_the_line() -> None:
    for name in (b") Z 1 1 1", b"a (b) c", b"(((", b")))", b"\n"):
        assert proc.parse_stat(line(name)).state == "S"


def test_this_process() -> None:
    found = proc.stat(os.getpid())
    assert found is not None
    assert (found.ppid, found.session, found.is_dead) == (os.getppid(), os.getsid(0), False)
    assert 0 < found.start <= proc.now()
    assert proc.table()[os.getpid()].identity == found.identity
    assert proc.groups(os.getpid()) == set(os.getgroups())
    assert f"PATH={os.environ['PATH']}".encode() in proc.environ(os.getpid())


def test_a_process_that_is_not_there() -> None:
    pid = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(pid, 0)
    assert proc.stat(pid) is None
    assert proc.groups(pid) == set()
    assert proc.environ(pid) == []


def test_a_file_longer_than_one_read(tmp_path: Path) -> None:
    expected = b"".join(b"%d\n" % number for number in range(5000))
    path = tmp_path / "long"
    path.write_bytes(expected)
    assert proc.read(str(path)) == expected
