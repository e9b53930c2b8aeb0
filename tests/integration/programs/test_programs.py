"""The server's three requests about programs, answered by a real agent's handlers and a real supervisor."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from harness.supervisor import House, is_alive, until
from quix.agent.programs import Programs
from quix.link.router import Router
from quix.supervisor.client import SupervisorClient
from quix.wire.messages import Done, Execute, Executed, ProcSignal, ViewRunning
from quix.wire.reasons import Reason, Refusal


@pytest.fixture
async def client(house: House) -> SupervisorClient:
    return await house.client()


@pytest.fixture
def programs(client: SupervisorClient) -> Programs:
    return Programs(client, 2**20)


async def test_from_execute_to_the_end(programs: Programs) -> None:
    executed = await programs.execute(None, Execute(cmd=["sleep", "1000"]))
    assert isinstance(executed, Executed)
    rows = await programs.view_running(None, ViewRunning())
    assert [(row.pid, row.title, row.reqc) for row in rows] == [(executed.proc_id, "sleep", "sleep 1000")]
    assert await programs.signal(None, ProcSignal(pid=executed.proc_id, mode="SIGTERM")) == Done()
    await until(lambda: not is_alive(executed.proc_id))
    assert await programs.view_running(None, ViewRunning()) == []


@pytest.mark.parametrize("mode", ["SIGSTOP", "sigterm", "TERM", "15", ""])
async def test_other_modes_are_refused(programs: Programs, mode: str) -> None:
    executed = await programs.execute(None, Execute(cmd=["sleep", "1000"]))
    with pytest.raises(Refusal) as caught:
        await programs.signal(None, ProcSignal(pid=executed.proc_id, mode=mode))
    assert caught.value.reason is Reason.MODE_INVALID
    assert is_alive(executed.proc_id)


@pytest.mark.parametrize("pid", [0, -1, 1, 2**31, 2**53, 10**40])
async def test_other_pids_are_refused(programs: Programs, pid: int) -> None:
    with pytest.raises(Refusal) as caught:
        await programs.signal(None, ProcSignal(pid=pid, mode="SIGHUP"))
    assert caught.value.reason is Reason.PID_UNKNOWN


async def test_a_refusal_of_the_supervisor_is_passed_on(programs: Programs) -> None:
    with pytest.raises(Refusal, match="no-such-program") as caught:
        await programs.execute(None, Execute(cmd=["no-such-program"]))
    assert caught.value.reason is Reason.COMMAND_NOT_FOUND


async def test_the_router_finds_them_by_the_words_of_the_seed(programs: Programs) -> None:
    router: Router[None] = Router()
    programs.register(router)

    async def ask(req: str, msg: bytes) -> Any:
        route = router.resolve(req, {})
        return msgspec.to_builtins(await route.handler(None, route.decode(msgspec.Raw(msg))))

    executed = await ask("execute", b'{"cmd": ["sleep", "1000"]}')
    assert executed == {"result": "success", "proc_id": executed["proc_id"]}
    (row,) = await ask("view_running", b'{"verb": 1}')
    assert list(row) == ["title", "pid", "cpu_util", "mem_util", "reqc", "port_util"]
    assert await ask("proc_signal", b'{"pid": %d, "mode": "SIGKILL"}' % executed["proc_id"]) == {"result": "success"}
    assert await ask("view_running", b"{}") == []
