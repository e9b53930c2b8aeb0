"""openvpn(8) as a child process that is kept running, for the server's side and for a backend's."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from quix import logs
from quix.link.backoff import Backoff
from quix.vpn import tools

log = logs.get(__name__)

_GRACE: Final = 5.0
"""Seconds that openvpn may take to end; then it is killed."""

_STABLE_AFTER: Final = 10.0
"""Seconds it must have run before the back-off begins anew."""

_READY: Final = "Initialization Sequence Completed"
"""What openvpn says when the tunnel is up; on the server's side, when it listens."""


def missing(*others: str) -> str | None:
    """Return what this process lacks to run openvpn and `others`, or None where it lacks nothing."""
    if lacking := tools.missing("openvpn", *others):
        return lacking
    return None if Path("/dev/net/tun").exists() else "the device /dev/net/tun"


class Daemon:
    """openvpn with the configuration file `config`, started again with a growing delay whenever it ends.

    An earlier one with the same file, left behind by a parent that was killed, is ended first. That is known by its
    command line, which begins the same, so nothing has to be written down and nothing can be out of date.

    `inspect`, where it is given, is called when the tunnel has come up, and returns why it has to be ended, or None.
    """

    def __init__(
        self,
        config: Path,
        options: Callable[[], Sequence[str]] = list,
        inspect: Callable[[], str | None] | None = None,
    ) -> None:
        self._inspect = inspect
        self._config = config
        self._options = options
        self._task: asyncio.Task[None] | None = None
        self._said: deque[str] = deque(maxlen=3)

    @property
    def is_wanted(self) -> bool:
        """Whether it runs, or will again."""
        return self._task is not None

    async def start(self) -> None:
        """Run it from now on; one that runs already is started anew, since its file may have changed."""
        await self.stop()
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End it; return when it has ended. The configuration file may go, it is no longer looked at."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await asyncio.to_thread(end_strays, self._config)

    async def _keep(self) -> None:
        backoff = Backoff()
        while True:
            began = time.monotonic()
            end = await self._run()
            if time.monotonic() - began >= _STABLE_AFTER:
                backoff.reset()
            delay = backoff.next()
            log.warning(
                "openvpn ended; starting it again", config=str(self._config), end=end, in_seconds=round(delay, 1)
            )
            await asyncio.sleep(delay)

    async def _run(self) -> str:
        """Run it once to its end, and return what that was."""
        command = [tools.find("openvpn") or "openvpn", "--config", str(self._config), *self._options()]
        self._said.clear()
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                # What is sent to the terminal's processes is for us to pass on, in order.
                start_new_session=True,
            )
        except OSError as error:
            return f"not started: {error.strerror}"
        try:
            await self._listen(process)
            status = await process.wait()
        finally:
            await _end(process)
        return f"status {status}: {' | '.join(self._said)}"

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for raw in process.stdout:
            line = raw.decode(errors="replace").rstrip()
            self._said.append(line)
            log.debug("openvpn", config=self._config.name, line=line)
            if _READY in line:
                await self._came_up(process)

    async def _came_up(self, process: asyncio.subprocess.Process) -> None:
        log.info("openvpn is up", config=str(self._config), pid=process.pid)
        if self._inspect is not None and (reason := await asyncio.to_thread(self._inspect)):
            log.error("this tunnel is not to be; ending it", config=str(self._config), reason=reason)
            process.terminate()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _GRACE)
    except TimeoutError:
        process.kill()
        await process.wait()


def end_strays(config: Path) -> None:
    """End every openvpn that runs with this configuration file; return when they have ended."""
    for pid, descriptor in _strays(config):
        try:
            log.info("ending an openvpn that was left behind", pid=pid, config=str(config))
            _end_stray(descriptor)
        except PermissionError:
            log.warning("an openvpn of another user has this configuration", pid=pid, config=str(config))
        finally:
            os.close(descriptor)


def _strays(config: Path) -> Iterator[tuple[int, int]]:
    """Yield the pid of each and a pidfd, so that its successor of the same pid is never meant."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            descriptor = os.pidfd_open(int(entry.name))
        except OSError:
            continue  # ended meanwhile
        if _runs(entry, config):
            yield int(entry.name), descriptor
        else:
            os.close(descriptor)


def _runs(process: Path, config: Path) -> bool:
    try:
        arguments = (process / "cmdline").read_bytes().split(b"\0")
        return arguments[1:3] == [b"--config", os.fsencode(config)] and (process / "comm").read_text() == "openvpn\n"
    except OSError:
        return False  # ended meanwhile, or not ours to look at


def _end_stray(descriptor: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return
        # poll(2) and not select(2), which knows the first 1024 descriptors only.
        waiting = select.poll()
        waiting.register(descriptor, select.POLLIN)
        if waiting.poll(_GRACE * 1000):
            return
