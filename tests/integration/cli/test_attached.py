"""`quix run` where the backend, which answers by hand, has its troubles."""

from __future__ import annotations

import asyncio
import base64
import signal
from typing import Any

from harness.api import Place
from harness.cli import QUIX, Shell


class Program:
    """A backend whose program writes what it is given, once its input has ended; it refuses the first of each kind of
    request, as where its supervisor is being restarted, and whatever else is in `refused`."""

    def __init__(self, *refused: str) -> None:
        self.refused = [*refused]
        self.given = b""
        self.is_over = False

    def __call__(self, req: str, msg: Any) -> Any:
        if req in self.refused:
            self.refused.remove(req)
            return {"result": "failure", "reason": "unavailable", "detail": "there is no supervisor"}
        if req == "execute":
            return {"result": "success", "proc_id": 7}
        if req == "write_input":
            self.given = self.given[: msg["offset"]] + base64.b64decode(msg.get("data", ""))
            self.is_over |= msg.get("end", False)
            return {"result": "success", "received": len(self.given)}
        return self._output(msg) if req == "read_output" else {"result": "success"}

    def _output(self, msg: Any) -> Any:
        state: dict[str, Any] = {"run": msg["run"], "state": "running", "proc_id": 7, "started_at": 1.0}
        if not self.is_over:
            return {"state": state, "chunks": []}
        rest = self.given[msg.get("stdout", 0) :]
        chunk = {"stream": "stdout", "offset": msg.get("stdout", 0), "data": base64.b64encode(rest).decode()}
        ended = {"state": "ended", "outcome": "exited", "exit_code": 0, "stdout": len(self.given)}
        return {"state": {**state, **ended}, "chunks": [chunk] if rest else []}


async def test_a_supervisor_that_is_away_for_a_while_is_waited_for(there: Place, shell: Shell) -> None:
    async with there.agent(Program("read_output", "write_input"), "web-1", process=1):
        done = await shell.quix("run", "-i", "web-1", "--", "cat", stdin="all of it\n")
    assert (done.code, done.out) == (0, "all of it\n"), done
    assert done.err.splitlines() == [
        "quix: unavailable: there is no supervisor; the program goes on, waiting for the connection",
        "quix: connected again",
    ]


async def test_ctrl_c_while_it_is_started(there: Place, shell: Shell) -> None:
    async with there.agent(lambda _req, _msg: None, "web-1", process=1) as agent:
        process = await asyncio.create_subprocess_exec(
            QUIX, "run", "web-1", "--", "true", stderr=asyncio.subprocess.PIPE, env=shell.env
        )
        async with asyncio.timeout(60):
            while not agent.asked:
                await asyncio.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, said = await process.communicate()
    assert process.returncode == 130
    assert said == b"quix: whether it was started is not known: quix runs web-1\n"
