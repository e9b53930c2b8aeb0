"""A run that somebody watches: what is in between may fail, and whoever leaves it leaves it in good order."""

from __future__ import annotations

import asyncio
import json

import pytest

from acceptance.house import House, Rest, Server
from acceptance.operator import Operator
from harness.lossy import losing, page

FAULT = b'{"reason": "internal_error", "detail": "x"}'
FAULTY = b"HTTP/1.1 500 Sorry\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(FAULT), FAULT)

START = rb"POST /api/v1/backends/\w+/processes "
OUTPUT = rb"GET /api/v1/backends/\w+/runs/\w+/output\?"
INPUT = rb"POST /api/v1/backends/\w+/runs/\w+/input "


@pytest.fixture
def op(common: House, shared: Server, machine: str) -> Operator:
    del machine  # it only has to be there
    return Operator(common, shared)


@pytest.fixture
def login(common: House, op: Operator) -> dict[str, str]:
    """What says by the environment who asks, so that the URL may be another."""
    del op
    kept = json.loads((common.root / "op" / "quix" / "credentials.json").read_text())
    return {"QUIX_TOKEN": kept["token"]}


def runs(rest: Rest, machine: str, title: str) -> list[dict[str, object]]:
    """The runs that were started with an argument of their own."""
    return [run for run in rest.get(f"/backends/{machine}/runs?limit=1000")["items"] if title in run["cmd"]]


# -- what is in between fails -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "instead"),
    [
        (START, page(504)),
        (OUTPUT, page(502)),
        (OUTPUT, page(503)),
        (INPUT, page(502)),
        (INPUT, FAULTY),
    ],
)
async def test_an_answer_that_does_not_arrive_changes_nothing(
    op: Operator,
    shared: Server,
    machine: str,
    rest: Rest,
    login: dict[str, str],
    request: pytest.FixtureRequest,
    wanted: bytes,
    instead: bytes,
) -> None:
    title = request.node.name
    async with losing(shared.http, wanted, instead) as url:
        op.env |= {**login, "QUIX_URL": url}
        args = ("run", "-i", machine, "--", "sh", "-c", "cat; exit 3", title)
        done = await asyncio.to_thread(op.quix, *args, stdin=b"line\n" * 50_000)
    assert (done.returncode, done.stdout) == (3, b"line\n" * 50_000), done.stderr
    assert len(runs(rest, machine, title)) == 1
