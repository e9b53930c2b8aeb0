"""A supervisor that is killed at any moment, agents that come and go, and runs that must not notice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from harness.runs import Reader, ended
from harness.supervisor import House, is_alive, until, walkable_folder
from quix.supervisor import proc
from quix.supervisor.client import SupervisorClient
from quix.wire.reasons import Refusal
from quix.wire.runs import RunOptions, RunState

KEYS = st.sampled_from(["a", "b", "c", "d"])

SCRIPT = """
echo $1 >> starts
i=0
while [ $i -lt 40 ]; do i=$((i + 1)); echo $1 $i; echo $i $1 >&2; done
while [ ! -e end-$1 ]; do sleep 0.01; done
echo over
exit $(cat end-$1)
"""


class Expected:
    """What is known of one run."""

    def __init__(self, key: str, pid: int) -> None:
        self.pid = pid
        self.code: int | None = None
        self.signal: str | None = None
        self.is_lost = pid == 0
        self.acknowledged = False
        self.reader = Reader(key)

    @property
    def has_ended(self) -> bool:
        return self.code is not None or self.signal is not None or self.is_lost

    @property
    def outcome(self) -> tuple[str, int | None, str | None]:
        if self.is_lost:
            return "lost", None, None
        return "exited" if self.signal is None else "signalled", self.code, self.signal


def output(key: str, *, whole: bool) -> bytes:
    return b"".join(f"{key} {number}\n".encode() for number in range(1, 41)) + (b"over\n" if whole else b"")


class Machine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.stack = contextlib.ExitStack()
        self.house = House(self.stack.enter_context(walkable_folder()))
        self.client: SupervisorClient = self.run(self.house.client())
        self.runs: dict[str, Expected] = {}

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.run(self.house.end())
            self.stack.close()
            self.runner.close()

    # -- what happens ---------------------------------------------------------------------------

    async def spawn(self, key: str) -> int:
        """Return the pid; 0 where the supervisor was killed so close to the exec that nobody knows."""
        try:
            run = await self.client.spawn(["sh", "-c", SCRIPT, "sh", key], RunOptions(), key)
        except Refusal as refusal:
            assert "whether it ran is unknown" in refusal.detail
            return 0
        return run.proc_id

    def started(self, key: str, pid: int) -> None:
        known = self.runs.setdefault(key, Expected(key, pid))
        assert pid == known.pid, "the same key, the same program"

    @rule(key=KEYS)
    def start(self, key: str) -> None:
        self.started(key, self.run(self.spawn(key)))
        assert self.runs[key].pid or self.runs[key].is_lost

    @rule(key=KEYS)
    def start_while_the_supervisor_dies(self, key: str) -> None:
        async def both() -> int:
            asked = asyncio.create_task(self.spawn(key))
            await asyncio.sleep(0.0005 * (len(self.runs) + 1))
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.client.pid, signal.SIGKILL)
            return await asked

        self.started(key, self.run(both()))

    @rule(key=KEYS, number=st.sampled_from(["SIGTERM", "SIGKILL", "SIGINT"]))
    def end_by_signal(self, key: str, number: Any) -> None:
        known = self.runs.get(key)
        if known is None or known.has_ended:
            with contextlib.suppress(Refusal):
                self.run(self.client.signal(0, number, key))
                raise AssertionError("nothing of that name runs")
            return
        self.run(self.client.signal(known.pid, number))
        known.signal = number
        self.run(ended(self.client, key))

    @rule(key=KEYS, code=st.integers(0, 255))
    def end_by_itself(self, key: str, code: int) -> None:
        known = self.runs.get(key)
        if known is not None and not known.has_ended:
            self.write_end(key, code)
            known.code = code
            self.run(ended(self.client, key))

    def write_end(self, key: str, code: int) -> None:
        path = self.house.path(f"end-{key}")
        path.with_suffix(".new").write_text(f"{code}\n")
        path.with_suffix(".new").chmod(0o644)
        path.with_suffix(".new").rename(path)

    @rule(key=KEYS, code=st.integers(0, 255), number=st.sampled_from([signal.SIGKILL, signal.SIGTERM]))
    def end_by_itself_while_the_supervisor_is_replaced(self, key: str, code: int, number: signal.Signals) -> None:
        known = self.runs.get(key)
        if known is None or known.has_ended:
            return
        self.run(self.leave(number))
        self.write_end(key, code)
        self.run(until(lambda: proc.stat(known.pid) is None))
        known.is_lost = True
        self.client = self.run(self.house.client())

    @rule(number=st.sampled_from([signal.SIGKILL, signal.SIGTERM]))
    def replace_the_supervisor(self, number: signal.Signals) -> None:
        self.run(self.leave(number))
        self.client = self.run(self.house.client())

    async def leave(self, number: signal.Signals) -> None:
        await self.client.close()
        os.kill(self.client.pid, number)
        await until(lambda: not is_alive(self.client.pid))

    @rule()
    def the_agent_comes_back(self) -> None:
        self.run(self.client.close())
        self.client = self.run(self.house.client())

    @precondition(lambda self: self.runs)
    @rule(key=KEYS)
    def read(self, key: str) -> None:
        if key in self.runs:
            self.run(self.runs[key].reader.once(self.client))

    @rule(key=KEYS)
    def acknowledge(self, key: str) -> None:
        self.run(self.client.acknowledge(key))
        if key in self.runs and self.runs[key].has_ended:
            self.runs[key].acknowledged = True

    # -- what holds -----------------------------------------------------------------------------

    @invariant()
    def each_key_started_at_most_one_program(self) -> None:
        path = self.house.path("starts") if hasattr(self, "house") else None
        if path is not None and path.exists():
            lines = path.read_text().splitlines()
            assert len(lines) == len(set(lines)), lines
            assert set(lines) <= set(self.runs)

    @invariant()
    def all_that_is_not_acknowledged_is_told(self) -> None:
        if not hasattr(self, "client"):
            return
        told: dict[str, RunState] = {state.run: state for state in self.run(self.client.states())}
        assert set(told) == {key for key, known in self.runs.items() if not known.acknowledged}
        for key, state in told.items():
            known = self.runs[key]
            assert state.proc_id == known.pid
            assert (state.state == "ended") == known.has_ended
            if known.has_ended:
                assert (state.outcome, state.exit_code, state.exit_signal) == known.outcome

    @invariant()
    def what_was_read_is_what_was_written(self) -> None:
        for key, known in getattr(self, "runs", {}).items():
            assert known.reader.gaps == 0
            assert output(key, whole=True).startswith(known.reader.stdout)
            if known.code is not None:
                self.run(known.reader.to_the_end(self.client))
                assert known.reader.stdout == output(key, whole=True)


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=8, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
