"""Which commands an entry of the owner's list allows."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quix.supervisor.pattern import parse

SEVERAL = st.lists(st.text(max_size=5), max_size=4)


@pytest.mark.parametrize(
    ("text", "cmd"),
    [
        ("uptime", ["uptime"]),
        ("uptime", ["uptime", "-p"]),
        ("/usr/bin/uptime", ["/usr/bin/uptime", "../x", "*"]),
        ("backup.sh --full", ["backup.sh", "--full"]),
        ("backup.sh 'two words'", ["backup.sh", "two words"]),
        ("python3 tools/*.py", ["python3", "tools/a.py"]),
        ("python3 tools/*.py", ["python3", "tools/.py"]),
        ("du *", ["du", "data"]),
        ("du *", ["du", ""]),
        ("du a*b*c", ["du", "abc"]),
        ("du a*b*c", ["du", "a-bb-bc"]),
        ("du /srv/*/log", ["du", "/srv/web\n/log"]),
        ("du --depth=*", ["du", "--depth=1"]),
        ("ls ../*", ["ls", "../a"]),
        ("ls [a-z]?", ["ls", "[a-z]?"]),
        ("git log ...", ["git", "log"]),
        ("git log ...", ["git", "log", "--", "../a/b", "..."]),
        ("git ...", ["git", "log"]),
        ("git * ...", ["git", "log", "-1"]),
    ],
)
def test_what_an_entry_allows(text: str, cmd: list[str]) -> None:
    assert parse(text).matches(cmd)


@pytest.mark.parametrize(
    ("text", "cmd"),
    [
        ("uptime", []),
        ("uptime", ["./uptime"]),
        ("uptime", ["/usr/bin/uptime"]),
        ("uptime", ["/data/uptime"]),
        ("uptime", ["uptime "]),
        ("uptime", ["Uptime"]),
        ("/usr/bin/uptime", ["uptime"]),
        ("/usr/bin/uptime", ["/usr/bin/../bin/uptime"]),
        ("/usr/bin/uptime", ["//usr/bin/uptime"]),
        ("backup.sh --full", ["backup.sh"]),
        ("backup.sh --full", ["backup.sh", "--full", "x"]),
        ("backup.sh --full", ["backup.sh", "--ful"]),
        ("python3 tools/*.py", ["python3", "tools/../evil.py"]),
        ("python3 tools/*.py", ["python3", "tools/sub/a.py"]),
        ("python3 tools/*.py", ["python3", "tools/a.pyc"]),
        ("python3 tools/*.py", ["python3", "-c", "import os"]),
        ("python3 tools/*.py", ["python3", "/tools/a.py"]),
        ("du *", ["du", ".."]),
        ("du *", ["du", "-x"]),
        ("du *", ["du", "a", "b"]),
        ("du .*", ["du", ".."]),
        ("du /srv/*/log", ["du", "/srv/../log"]),
        ("du --file=*", ["du", "--file=../x"]),
        ("du --file=*", ["du", "--file=/etc/shadow"]),
        ("ls ../*", ["ls", "../.."]),
        ("du ab*ba", ["du", "aba"]),
        ("du a*b*b", ["du", "ab"]),
        ("ls [a-z]?", ["ls", "ab"]),
        ("git log ...", ["git"]),
        ("git log ...", ["git", "push", "log"]),
        ("git * ...", ["git", "-c", "core.pager=sh"]),
    ],
)
def test_what_an_entry_does_not_allow(text: str, cmd: list[str]) -> None:
    assert not parse(text).matches(cmd)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no program"),
        ("   ", "no program"),
        ("*", "in full"),
        ("/opt/*", "in full"),
        ("...", "in full"),
        ("./backup.sh", "without a slash"),
        ("tools/backup.sh", "without a slash"),
        ("tar ... x", "last word"),
        ("echo 'open", "quotation"),
    ],
)
def test_an_entry_that_stands_for_no_command_says_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(text)


@given(SEVERAL)
def test_without_a_star_only_the_very_same_arguments(arguments: list[str]) -> None:
    assert parse("tar cf x").matches(["tar", *arguments]) == (arguments == ["cf", "x"])


@given(st.text(alphabet="ab*", max_size=6), st.text(alphabet="ab", max_size=8))
def test_a_star_stands_for_what_it_does_everywhere(word: str, argument: str) -> None:
    def expected(word: str, argument: str) -> bool:
        if not word:
            return not argument
        if word[0] == "*":
            return any(expected(word[1:], argument[at:]) for at in range(len(argument) + 1))
        return bool(argument) and word[0] == argument[0] and expected(word[1:], argument[1:])

    assert parse(f"x '{word}'").matches(["x", argument]) == expected(word, argument)


def test_no_argument_takes_long_to_match() -> None:
    entry = parse("x " + "*a" * 40)
    began = time.process_time()
    assert not entry.matches(["x", "a" * 10**6 + "b"])
    assert time.process_time() - began < 1
