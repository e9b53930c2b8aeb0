"""The supervisor's command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quix.exits import Exit, QuixError
from quix.supervisor.settings import SupervisorSettings, parse

words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@given(words, st.sampled_from(["landlock", "uid", "none"]), words, st.integers(1, 10**6))
def test_it_survives_the_command_line(folder: str, mode: str, user: str, limit: int) -> None:
    settings = SupervisorSettings(
        data_dir=Path("/", folder),
        sandbox=mode,  # type: ignore[arg-type]
        program_user=user,
        max_programs=limit,
    )
    assert parse(settings.argv()) == settings


def test_what_is_not_said_has_a_default() -> None:
    assert parse(["--data-dir=/d"]) == SupervisorSettings(data_dir=Path("/d"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--data-dir"),
        (["--data-dir="], "--data-dir"),
        (["--data-dir=/d", "more"], "nothing but options"),
        (["--data-dir=/d", "--unknown"], "unknown"),
        (["--data-dir=/d", "--sandbox=bwrap"], "landlock, uid, none"),
        (["--data-dir=/d", "--max-programs=0"], "1 or more"),
        (["--data-dir=/d", "--max-programs=many"], "whole number"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong(arguments: list[str], message: str) -> None:
    with pytest.raises(QuixError, match=message) as caught:
        parse(arguments)
    assert caught.value.code is Exit.USAGE


def test_whatever_changes_how_programs_are_treated_changes_the_identity() -> None:
    settings = SupervisorSettings(data_dir=Path("/d"))
    others = [
        SupervisorSettings(data_dir=Path("/d"), sandbox="uid"),
        SupervisorSettings(data_dir=Path("/d"), program_user="1:1"),
        SupervisorSettings(data_dir=Path("/d"), max_programs=1),
    ]
    assert len({each.identity for each in (settings, *others)}) == 4
