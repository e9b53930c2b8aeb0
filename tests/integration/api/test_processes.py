"""Programs over REST, with a backend that answers by hand."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from harness.api import Place, problem
from quix.store.users import Role

ROW = {
    "title": "Test Server v0.1", "pid": 12351, "cpu_util": 0, "mem_util": 111,
    "reqc": "python3 testserver/testserver.py --help", "port_util": [12345, 56193],
}  # fmt: skip


def machine(req: str, msg: Any) -> Any:
    """The seed's own examples."""
    if req == "execute":
        return {"result": "success", "proc_id": 12345}
    if req == "view_running":
        return [ROW]
    return {"result": "success"} if req == "proc_signal" and msg["pid"] == 12351 else refusal("pid_unknown")


def refusal(reason: str, **more: Any) -> dict[str, Any]:
    return {"result": "failure", "reason": reason, **more}


async def test_running_programs_are_the_seeds_rows(there: Place) -> None:
    viewer = await there.login(Role.VIEWER)
    async with there.agent(machine) as agent:
        answer = await viewer.get(f"/backends/{agent.id}/processes")
        assert answer.status_code == 200
        assert answer.json() == {"items": [ROW], "next": None}
        assert (await viewer.get(f"/backends/{agent.id}/processes?verb=2")).status_code == 200
        assert agent.asked == [("view_running", {"verb": 1}), ("view_running", {"verb": 2})]


async def test_a_program_that_was_started_is_a_run(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    cmd = ["python3", "testserver/testserver.py", "--help", "ü", ""]
    async with there.agent(machine) as agent:
        answer = await operator.post(f"/backends/{agent.id}/processes", json={"cmd": cmd})
        assert answer.status_code == 201
        started = answer.json()
        assert set(started) == {"proc_id", "run_id"}
        assert started["proc_id"] == 12345
        assert agent.asked == [("execute", {"cmd": cmd})]
        run = (await operator.get(f"/backends/{agent.id}/runs/{started['run_id']}")).json()
        assert time.time() - run.pop("started_at") < 60
        assert run == {
            "id": started["run_id"], "backend_id": agent.id, "cmd": cmd, "proc_id": 12345, "started_by": "op",
            "options": {}, "state": "untracked", "ended_at": None, "outcome": None, "exit_code": None,
            "exit_signal": None, "restarts": 0, "stdout": 0, "stderr": 0, "detail": "",
        }  # fmt: skip


async def test_runs_belong_to_their_backend(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    async with there.agent(machine) as one, there.agent(machine) as two:
        run_id = (await operator.post(f"/backends/{one.id}/processes", json={"cmd": ["true"]})).json()["run_id"]
        assert problem(await operator.get(f"/backends/{two.id}/runs/{run_id}")) == (404, "run_unknown")
        assert problem(await operator.get(f"/backends/{one.id}/runs/none")) == (404, "run_unknown")
        assert [run["id"] for run in (await operator.get(f"/backends/{one.id}/runs")).json()["items"]] == [run_id]
        assert (await operator.get(f"/backends/{two.id}/runs")).json() == {"items": [], "next": None}


async def test_a_signal_reaches_the_backend(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    async with there.agent(machine) as agent:
        path = f"/backends/{agent.id}/processes/12351/signal"
        answer = await operator.post(path, json={"mode": "SIGHUP"})
        assert (answer.status_code, answer.json()) == (200, {"result": "success"})
        assert agent.asked == [("proc_signal", {"pid": 12351, "mode": "SIGHUP"})]
        answer = await operator.post(f"/backends/{agent.id}/processes/1/signal", json={"mode": "SIGHUP"})
        assert problem(answer) == (422, "pid_unknown")


@pytest.mark.parametrize(
    "reason", ["command_not_found", "policy_denied", "token_invalid", "timeout", "a_reason_of_tomorrow"]
)
async def test_a_backends_refusal_is_422_whatever_its_reason(there: Place, reason: str) -> None:
    operator = await there.login(Role.OPERATOR)
    async with there.agent(lambda _req, _msg: refusal(reason)) as agent:
        answer = await operator.post(f"/backends/{agent.id}/processes", json={"cmd": ["true"]})
        assert problem(answer) == (422, reason)
        assert "www-authenticate" not in answer.headers
        (run,) = (await operator.get(f"/backends/{agent.id}/runs")).json()["items"]
        assert (run["state"], run["outcome"], run["proc_id"]) == ("refused", reason, 0)


async def test_an_answer_that_is_none_is_the_backends_fault(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    async with there.agent(lambda _req, _msg: {"result": "success", "proc_id": "many"}) as agent:
        for _ in range(2):
            answer = await operator.post(f"/backends/{agent.id}/processes", json={"cmd": ["true"]})
            assert problem(answer) == (502, "answer_invalid")


async def test_a_backend_that_is_away(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    async with there.agent(machine) as agent:
        pass
    path = f"/backends/{agent.id}"
    async with asyncio.timeout(10):
        while (await operator.get(path)).json()["connected"]:
            await asyncio.sleep(0.01)
    answers = [
        await operator.get(f"{path}/processes"),
        await operator.get(f"{path}/telemetry"),
        await operator.post(f"{path}/processes", json={"cmd": ["true"]}),
        await operator.post(f"{path}/processes/1/signal", json={"mode": "SIGTERM"}),
    ]
    assert [problem(answer) for answer in answers] == [(409, "backend_offline")] * 4
    assert (await operator.get(f"{path}/runs")).status_code == 200


async def test_a_backend_that_does_not_answer(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    async with there.agent(lambda _req, _msg: None) as agent:
        answer = await operator.post(f"/backends/{agent.id}/processes", json={"cmd": ["true"]})
        assert problem(answer) == (504, "timeout")
        assert len(agent.asked) == 1


async def test_a_backend_that_leaves_before_it_answers(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    async with there.agent(lambda _req, _msg: None) as agent:
        asking = asyncio.create_task(operator.post(f"/backends/{agent.id}/processes", json={"cmd": ["true"]}))
        async with asyncio.timeout(10):
            while not agent.asked:
                await asyncio.sleep(0.01)
        await agent.client.connection.close()
        assert problem(await asking) == (502, "connection_lost")


async def test_more_requests_than_a_backend_need_accept(there: Place) -> None:
    viewer = await there.login(Role.VIEWER)
    async with there.agent(lambda _req, _msg: None) as agent:
        path = f"/backends/{agent.id}/processes"
        answers = await asyncio.gather(*(viewer.get(path) for _ in range(70)))
        counts: dict[tuple[int, str], int] = {}
        for answer in answers:
            counts[problem(answer)] = counts.get(problem(answer), 0) + 1
        assert counts == {(504, "timeout"): 64, (429, "too_many_requests"): 6}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "cmd"),
        ({"cmd": []}, "cmd"),
        ({"cmd": "ls -l"}, "cmd"),
        ({"cmd": ["ls", 1]}, "cmd"),
        ({"cmd": None}, "cmd"),
        ({"cmd": ["ls"], "shell": True}, "shell"),
        (["ls"], "array"),
        (None, "body"),
    ],
)
async def test_a_command_that_is_none_is_named(there: Place, body: Any, field: str) -> None:
    operator = await there.login(Role.OPERATOR)
    async with there.agent(machine) as agent:
        path = f"/backends/{agent.id}/processes"
        answer = await (operator.post(path) if body is None else operator.post(path, json=body))
        assert problem(answer) == (400, "request_invalid")
        assert field in answer.json()["detail"]
        assert agent.asked == []


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("processes?verb=0", "verb"),
        ("processes?verb=3", "verb"),
        ("processes?verb=x", "verb"),
        ("runs?limit=0", "limit"),
        ("runs?limit=1001", "limit"),
        ("runs?limit=many", "limit"),
    ],
)
async def test_a_parameter_that_will_not_do_is_named(there: Place, path: str, field: str) -> None:
    viewer = await there.login(Role.VIEWER)
    async with there.agent(machine) as agent:
        answer = await viewer.get(f"/backends/{agent.id}/{path}")
        assert problem(answer) == (400, "request_invalid")
        assert answer.json()["detail"].startswith(f"{field}: ")


@pytest.mark.parametrize("pid", ["0", "-1", "2147483648", "9" * 40, "x", "1.5"])
async def test_a_pid_that_is_none(there: Place, pid: str) -> None:
    operator = await there.login(Role.OPERATOR)
    async with there.agent(machine) as agent:
        answer = await operator.post(f"/backends/{agent.id}/processes/{pid}/signal", json={"mode": "SIGTERM"})
        assert problem(answer) in {(400, "request_invalid"), (404, "not_found")}
        assert agent.asked == []


async def test_output_is_followed_across_a_supervisor_that_is_away(there: Place) -> None:
    """The backend answers, and cannot read what the run wrote for as long as its supervisor is being restarted."""
    state = {"run": "0" * 22, "state": "running", "proc_id": 12345, "started_at": 1.0}
    answers: list[Any] = [
        {"state": state, "chunks": []},
        refusal("unavailable"),
        {"state": {**state, "state": "ended", "outcome": "exited", "exit_code": 0}, "chunks": []},
    ]

    def reading(req: str, msg: Any) -> Any:
        return answers.pop(0) if req == "read_output" else machine(req, msg)

    operator = await there.login(Role.OPERATOR)
    async with there.agent(reading, "web-1", process=1) as agent:
        run = (await operator.post(f"/backends/{agent.id}/processes", json={"cmd": ["true"]})).json()["run_id"]
        told = (await operator.get(f"/backends/{agent.id}/runs/{run}/output/events")).text
    assert [line for line in told.splitlines() if line.startswith("event: ")] == [
        "event: state", "event: state", "event: end",
    ]  # fmt: skip
