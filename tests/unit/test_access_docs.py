"""docs/access.md says what the code does: its tables are compared."""

from __future__ import annotations

import re
from pathlib import Path

from quix.server.events import Kind
from quix.store.actions import Action

PAGE = (Path(__file__).parents[2] / "docs" / "access.md").read_text()


def rows(head: str) -> list[tuple[str, str]]:
    """The rows of the table with this head."""
    table = PAGE[PAGE.index(head) :].partition("\n\n")[0]
    return re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.MULTILINE)


def test_every_action_is_listed_in_its_words() -> None:
    assert rows("| action | what was done |") == [(action.value, action.sentence) for action in Action]


def test_every_kind_of_event_is_listed_in_its_words() -> None:
    assert rows("| kind | what has happened, and `data` |") == [(kind.value, kind.sentence) for kind in Kind]
