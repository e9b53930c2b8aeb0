"""Prints each program that ends, as it happens, until it is interrupted; goes on after a server that was restarted.

QUIX_URL=http://127.0.0.1:8480 QUIX_TOKEN=... python examples/follow_events.py
"""

import asyncio
import contextlib
import os
import sys

from quix import AsyncClient
from quix.client import QuixError


def trouble(error: QuixError) -> None:
    print(f"{error}; trying again", file=sys.stderr)


async def main() -> None:
    async with AsyncClient(os.environ["QUIX_URL"], os.environ["QUIX_TOKEN"]) as quix:
        # aclosing: whoever leaves the loop leaves no connection behind.
        async with contextlib.aclosing(quix.events(["run_ended"], trouble=trouble)) as events:
            print("following", flush=True)
            async for event in events:
                if event.kind == "reset":
                    print("some events were missed", flush=True)
                    continue
                run = await quix.run(event.backend_id, event.data["run"])
                print(f"{event.backend_id} {run.cmd[0]} {run.outcome} {run.exit_code}", flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except QuixError as error:
        sys.exit(f"{error}")
