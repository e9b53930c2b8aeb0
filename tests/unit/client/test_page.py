"""docs/sdk.md names all that there is: methods, errors, examples."""

from __future__ import annotations

from pathlib import Path

import pytest

import quix.client
from quix import Client
from quix.client import QuixError

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "sdk.md").read_text()


@pytest.mark.parametrize("name", [name for name in dir(Client) if name[:1] != "_" and callable(getattr(Client, name))])
def test_every_method_stands_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_every_error_stands_on_the_page() -> None:
    exported = [getattr(quix.client, name) for name in quix.client.__all__]
    errors = [each for each in exported if isinstance(each, type) and issubclass(each, QuixError)]
    assert len(errors) > 10
    assert [each.__name__ for each in errors if f"`{each.__name__}`" not in PAGE and each is not QuixError] == []


def test_every_example_stands_on_the_page() -> None:
    for path in (ROOT / "examples").glob("*.py"):
        assert f"(../examples/{path.name})" in PAGE
