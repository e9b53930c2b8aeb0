"""docs/alerts.md says what the code does: its tables are compared."""

from __future__ import annotations

import re
from pathlib import Path

from quix.server.alerting.post import PATIENCE, PAUSES
from quix.server.alerting.text import FIRST
from quix.store.alert_messages import MOST
from quix.store.alert_rules import Rule, Watched

PAGE = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()


def test_every_metric_is_listed_with_its_unit_and_in_its_words() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ?(\S*) \| (.+) \|$", PAGE[PAGE.index("| metric | unit |") :], re.MULTILINE)
    assert rows[: len(Watched)] == [(metric.value, metric.unit, metric.sentence) for metric in Watched]


def test_every_field_of_a_rule_that_is_given_is_explained() -> None:
    table = PAGE[PAGE.index("| field | meaning |") :].partition("\n\n")[0]
    named = {name for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    fields = {"for" if name == "hold" else name for name in Rule.__struct_fields__}
    assert named == fields - {"id", "created_by", "created_at"}


def test_the_numbers_are_those_of_the_code() -> None:
    times = {5: "5 s", 30: "30 s", 120: "2 min", 300: "5 min", 900: "15 min", 1800: "30 min", 3600: "each hour"}
    said = ", ".join(times[int(pause)] for pause in PAUSES).replace("30 min, each", "30 min, then each")
    assert f"sent again after {said}; after a day" in PAGE
    assert {PATIENCE} == {86400.0}
    assert f"the first {FIRST}." in PAGE
    assert f"No more than {MOST:,} wait" in PAGE
