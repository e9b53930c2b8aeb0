"""`quix events`."""

from __future__ import annotations

import asyncio
import json
import signal

from harness.api import Place
from harness.cli import QUIX, Shell
from quix.exits import Exit
from quix.server.events import Kind


async def test_events_across_a_server_that_closes_its_door(there: Place, shell: Shell) -> None:
    place = str(there.control.events.newest)
    there.control.events.publish(Kind.RUN_STARTED, "b1", run="r1")
    process = await asyncio.create_subprocess_exec(
        QUIX, "events", "--after", place, "--json", stdout=asyncio.subprocess.PIPE, env=shell.env
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        assert json.loads(await process.stdout.readline())["data"] == {"run": "r1"}
        await there.close()
        there.control.events.publish(Kind.RUN_ENDED, "b1", run="r1")
        await there.open()
        again = json.loads(await process.stdout.readline())
        assert (again["kind"], again["backend_id"]) == ("run_ended", "b1")
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130


async def test_event_for_people(there: Place, shell: Shell) -> None:
    place = str(there.control.events.newest)
    there.control.events.publish(Kind.RUN_CHANGED, "b1", run="r1", state="waiting")
    there.control.events.publish(Kind.RUN_ENDED, "b1", run="r1", outcome="a\x1b[2J", exit_code=None)
    process = await asyncio.create_subprocess_exec(
        QUIX, "events", "--after", place, "-k", "run_ended", stdout=asyncio.subprocess.PIPE, env=shell.env
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        line = (await process.stdout.readline()).decode()
        process.send_signal(signal.SIGINT)
        await process.wait()
    assert line.split()[1:] == ["run_ended", "b1", "run=r1", "outcome=a\ufffd[2J"]


async def test_kind_that_is_none(shell: Shell) -> None:
    result = await shell.quix("events", "-k", "breathe")
    assert result.complaint.startswith("request_invalid: kind: 'breathe' is none of backend_enrolled, ")
    assert result.code == Exit.DATA
