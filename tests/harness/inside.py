"""A test whose own code runs in a network namespace."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from harness.lan import entered


@contextlib.contextmanager
def living_in(namespace: str) -> Iterator[None]:
    """The calling thread, and the threads of its event loop, are in the network namespace meanwhile.

    What /sys says stays our own namespace's.
    """
    loop = asyncio.get_running_loop()
    with entered(namespace), ThreadPoolExecutor() as pool:
        loop.set_default_executor(pool)  # threads that are there already would stay outside
        yield
        loop.set_default_executor(ThreadPoolExecutor())
