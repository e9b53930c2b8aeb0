"""Fixtures: a house for each test, or one for all; and the logs of every process in it where a test failed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from acceptance.house import USERS, House
from harness.server import PASSWORD
from harness.supervisor import House as Supervised


@pytest.fixture(scope="session")
def users() -> Iterator[Path]:
    """The data folder of a server that has never run, with every user in it."""
    maker = House()
    folder = Path(tempfile.mkdtemp(prefix="quix-acceptance-"))
    try:
        for name, role in USERS.items():
            args = ["user", "add", name, "--role", role, "--password-stdin", "--data-dir", str(folder / "server")]
            done = maker.quix(*args, stdin=PASSWORD + "\n")
            assert done.returncode == 0, done.stderr
        yield folder / "server"
    finally:
        maker.close()
        shutil.rmtree(folder)


@pytest.fixture
def house(users: Path) -> Iterator[House]:
    """A house that is empty but for the users."""
    house = House(users)
    yield house
    house.close()


@pytest.fixture(scope="session")
def common(users: Path) -> Iterator[House]:
    """A house for what many tests look at and none disturbs."""
    house = House(users)
    yield house
    house.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, pytest.TestReport]:
    """Show the logs of every process where a test failed."""
    report: pytest.TestReport = yield
    houses = {id(value): value for value in getattr(item, "funcargs", {}).values() if isinstance(value, House)}
    supervised = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Supervised)]
    if report.failed and call.when == "call":
        for house in houses.values():
            report.sections.extend((f"log of {name}", text[-8000:]) for name, text in house.logs())
        for each in supervised:
            report.sections.append(("log of the supervisor", each.log()[-8000:]))
    return report
