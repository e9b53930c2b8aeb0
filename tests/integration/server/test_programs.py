"""Programs, seen from the server: what operators are told is what happened."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

from harness.server import Client, door


async def executing(client: Client) -> int:
    """Answer execute requests as a backend; return how many came until the task was cancelled."""
    count = 0
    try:
        while True:
            request = json.loads(await client.connection.recv())
            count += 1
            answer = {"rid": request["rid"], "msg": {"result": "success", "proc_id": 4711}}
            await client.connection.send(json.dumps(answer))
    except asyncio.CancelledError:
        return count


async def test_a_program_that_was_started_is_a_success_also_where_the_store_cannot_keep_it(tmp_path: Path) -> None:
    async with door(tmp_path) as here, here.client() as client:
        await client.enroll()
        backend = next(iter(here.control.fleet)).backend_id
        answering = asyncio.create_task(executing(client))
        with closing(sqlite3.connect(tmp_path / "quix.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # a writer that does not let go
            run = await here.control.programs.execute("ada", backend, ["true"])
            other.execute("ROLLBACK")
        assert (run.proc_id, run.started_by) == (4711, "ada")
        kept = await here.control.programs.execute("ada", backend, ["true"])
        answering.cancel()
        assert await answering == 2
        assert [run.id for run in await here.control.store.runs.page(backend, None, 10)] == [kept.id]
