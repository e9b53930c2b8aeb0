"""What runs write, read by many: a whole server, and backends that answer by hand."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from harness.api import place
from quix.link.outcomes import BackendOfflineError
from quix.server import outputs
from quix.wire.messages import ReadOutput, RunOutput
from quix.wire.runs import RunState

ASKED = ReadOutput(run="r")
FIRST = RunOutput(state=RunState(run="r", state="running", proc_id=5, started_at=1.0), chunks=[])


def silent(req: str, msg: Any) -> Any:
    """Answer as a run does that writes nothing: once the wait is over."""
    return {"result": "success"} if req != "read_output" or not msg["wait"] else None


def hasty(_req: str, _msg: Any) -> Any:
    """Answer as an agent does that knows nothing of waiting."""
    return {"state": {"run": "r", "state": "running", "proc_id": 5, "started_at": 1.0}, "chunks": []}


async def test_readers_who_hang_up_leave_room_for_others(tmp_path: Path) -> None:
    async with place(tmp_path / "server", max_in_progress=8) as there:
        async with there.agent(silent, "web-1", process=1) as agent:
            for _ in range(20):
                reading = asyncio.ensure_future(there.control.outputs.read(agent.id, ReadOutput(run="r", wait=20)))
                await asyncio.sleep(0)
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
            await there.control.programs.signal_run("op", agent.id, "r", "SIGKILL")
            assert [req for req, _ in agent.asked if req != "agent_facts"] == ["read_output"] * 4 + ["proc_signal"]
        async with asyncio.timeout(10):
            while there.control.outputs._waiting:
                await asyncio.sleep(0.01)


async def test_an_agent_that_does_not_wait_is_asked_with_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "_PAUSE", 0.2)
    async with place(tmp_path / "server") as there, there.agent(hasty, "web-1", process=1) as agent:
        began = time.monotonic()
        async for _ in there.control.outputs.follow(agent.id, ASKED, FIRST):
            if len(agent.asked) == 5:
                break
        assert time.monotonic() - began >= 4 * 0.2


@pytest.mark.parametrize("end", ["remove", "revoke"])
async def test_nobody_is_waited_for_who_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(outputs, "_PAUSE", 0.05)
    monkeypatch.setattr(outputs, "LONGEST_WAIT", 0.05)
    async with place(tmp_path / "server") as there:
        async with there.agent(silent, "web-1", process=1) as agent:
            pass
        following = there.control.outputs.follow(agent.id, ASKED, FIRST)
        for _ in range(5):
            assert (await anext(following))[1].state == FIRST.state
        await getattr(there.control.store.backends, end)(agent.id)
        async with asyncio.timeout(10):
            with pytest.raises(BackendOfflineError, match="does not come back"):
                async for _ in following:
                    pass
