"""The two clients are one: the synchronous is made from the asynchronous, and both are told alike."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from quix import AsyncClient, Client

TOOL = Path(__file__).parents[3] / "tools" / "sync_client.py"

RENAMED = {"aclose": "close", "__aenter__": "__enter__", "__aexit__": "__exit__"}


def methods(kind: type) -> dict[str, object]:
    return {name: getattr(kind, name) for name in dir(kind) if callable(getattr(kind, name)) and name[:1] != "_"}


def taken(method: Callable[..., object]) -> list[tuple[object, ...]]:
    found = inspect.signature(method).parameters.values()
    return [(each.name, each.kind, each.annotation, callable(each.default) or each.default) for each in found]


def test_the_synchronous_client_is_what_the_asynchronous_one_makes() -> None:
    done = subprocess.run([sys.executable, str(TOOL), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_both_have_the_same_methods() -> None:
    assert {RENAMED.get(name, name) for name in methods(AsyncClient)} == set(methods(Client))


@pytest.mark.parametrize("name", sorted(methods(AsyncClient)))
def test_a_method_takes_the_same_and_says_the_same(name: str) -> None:
    ours, theirs = getattr(AsyncClient, name), getattr(Client, RENAMED.get(name, name))
    assert ours.__doc__
    assert ours.__doc__ == theirs.__doc__
    assert taken(ours) == taken(theirs)
    # The same type, but for what is waited for on the way to it.
    returned = str(inspect.signature(ours).return_annotation).replace("Async", "")
    assert returned == str(inspect.signature(theirs).return_annotation)
    assert inspect.iscoroutinefunction(ours) or returned.startswith("Generator[")
