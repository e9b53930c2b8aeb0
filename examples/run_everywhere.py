"""Runs a command on every backend that is connected, on twenty at a time, and collects how it ended.

QUIX_URL=http://127.0.0.1:8480 QUIX_TOKEN=... python examples/run_everywhere.py uptime
"""

import asyncio
import os
import sys

from quix import AsyncClient
from quix.client import QuixError, RunLimits, RunOptions

AT_ONCE = 20
OPTIONS = RunOptions(limits=RunLimits(time=60))


async def run(quix: AsyncClient, backend: str, cmd: list[str]) -> tuple[int | None, bytes]:
    """Run a command on a backend; return its exit status, None where it has none, and what it wrote."""
    # An answer that is lost is asked for again, and the program started once.
    started = await quix.execute(backend, cmd, OPTIONS)
    written = bytearray()
    async for output in quix.follow(backend, started.run_id):
        for chunk in output.chunks:
            written += chunk.data
    return output.state.exit_code, bytes(written)


async def main(cmd: list[str]) -> int:
    """Print what each backend wrote; return how many did not do well."""
    async with AsyncClient(os.environ["QUIX_URL"], os.environ["QUIX_TOKEN"]) as quix:
        turns = asyncio.Semaphore(AT_ONCE)
        failed = 0

        async def visit(backend: str, name: str) -> None:
            nonlocal failed
            async with turns:
                try:
                    code, written = await run(quix, backend, cmd)
                except QuixError as error:  # offline by now, or its owner does not allow it: the others go on
                    code, written = None, f"{error}\n".encode()
            failed += code != 0
            print(f"{name}: {code}\n{written.decode(errors='replace')}", end="")

        backends = [backend async for backend in quix.backends(state="online")]
        async with asyncio.TaskGroup() as group:
            for backend in backends:
                group.create_task(visit(backend.id, backend.name))
    return failed


if __name__ == "__main__":
    try:
        sys.exit(1 if asyncio.run(main(sys.argv[1:])) else 0)
    except QuixError as error:
        sys.exit(f"{error}")
