"""Several supervisors on one machine, whose runs have the same keys."""

from __future__ import annotations

import json
import os
import signal

import pytest

from harness.runs import ended, gone
from harness.supervisor import House, a_house, is_alive, until
from quix.supervisor import proc, tree
from quix.supervisor.cgroups import Cgroups
from quix.supervisor.settings import SandboxMode
from quix.wire.reasons import Reason, Refusal
from quix.wire.runs import RunLimits, RunOptions

FAMILY = ["sh", "-c", "setsid -f sleep 1000; echo ready > ready; while :; do sleep 0.05; done"]


@pytest.mark.parametrize("sandbox", ["landlock", "none"])
@pytest.mark.root
async def test_a_run_of_the_same_key_is_a_stranger(house: House, sandbox: SandboxMode) -> None:
    """By its group where there are groups, and by its environment where there are not."""
    async with a_house() as other:
        client, neighbour = await house.client(sandbox), await other.client(sandbox)
        runs = [await each.spawn(FAMILY, RunOptions(), "k") for each in (client, neighbour)]
        for each in (house, other):
            await each.written("ready")
        mine, theirs = ([entry.pid for entry in tree.members(run, proc.table())] for run in runs)
        assert not set(mine) & set(theirs)
        assert len(mine) >= 2
        await client.signal(0, "SIGKILL", "k")
        await ended(client, "k")
        assert not any(map(is_alive, mine))
        assert is_alive(runs[1].pid)
        assert [run.id for run in await neighbour.runs()] == ["k"]
        assert len(tree.members(runs[1], proc.table())) >= 2, "the daemon, too"


@pytest.mark.root
async def test_groups_that_a_folder_before_left_behind_are_no_obstacle(house: House) -> None:
    """A file system gives the inode number of a folder that was removed to the next one."""
    client = await house.client()
    await client.spawn(["sleep", "1000"], RunOptions(), "other")
    Cgroups(house.folder).create("k", RunLimits(processes=5)).close()
    run = await client.spawn(["sleep", "1000"], RunOptions(), "k")
    assert is_alive(run.pid)
    assert len(await client.runs()) == 2


async def test_who_never_listens_gets_no_further_runs(house: House) -> None:
    """Ends that nobody acknowledges stay, so there must be a bound of them."""
    client = await house.client()
    await client.spawn(["true"], RunOptions(), "k")
    await ended(client, "k")
    await gone(client)
    record = json.loads((house.layout.runs / "k.json").read_text())
    for number in range(33):
        fields = {"id": f"old{number}", "cmd": ["x" * 2**21]}
        (house.layout.runs / f"old{number}.json").write_text(json.dumps(record | fields))
    client = await house.client()
    with pytest.raises(Refusal, match="acknowledged") as caught:
        await client.spawn(["true"], RunOptions(), "new")
    assert caught.value.reason is Reason.LIMIT_REACHED
    assert (await client.spawn(["true"], RunOptions(), "k")).id == "k", "a repeat is no further run"
    await client.spawn(["true"])
    for number in range(2):
        await client.acknowledge(f"old{number}")
    await client.spawn(["true"], RunOptions(), "new")


@pytest.mark.root
async def test_a_key_of_any_name_has_a_group(house: House) -> None:
    client = await house.client()
    options = RunOptions(limits=RunLimits(processes=50))
    run = await client.spawn(["sleep", "1000"], options, "probe")
    await gone(client)
    client = await house.client()
    again = await client.spawn(["sleep", "1000"], options, "other")
    for each in (run, again):
        assert "quix-" in proc.read(f"/proc/{each.pid}/cgroup").decode()
    os.kill(run.pid, signal.SIGKILL)
    await until(lambda: not is_alive(run.pid))
