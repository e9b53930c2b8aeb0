"""Starting a supervisor so that it outlives whoever started it, or becoming one."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

import msgspec

from quix.exits import Exit, QuixError
from quix.supervisor import handover
from quix.supervisor.layout import Layout
from quix.supervisor.protocol import Started
from quix.supervisor.settings import SupervisorSettings

_START_LIMIT: Final = 20.0
_COMMAND: Final = (sys.executable, "-P", "-m", "quix.supervisor")
"""-P: no module is ever looked for in the folder it was started in, or in the programs'."""

_PASSED_ON: Final = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TZ")


def become(settings: SupervisorSettings) -> NoReturn:
    """Replace this process by a supervisor that is a service; its pid, streams and signals stay what they are."""
    argv = msgspec.structs.replace(settings, service=True).argv()
    os.execv(sys.executable, [*_COMMAND, *argv])


async def launch(settings: SupervisorSettings, kept: Sequence[tuple[str, int]]) -> tuple[int, Started]:
    """Start a supervisor, and wait until it has said what became of that; return its pid, too.

    It is handed the descriptors that were `kept`, by their names.

    It leads a session of its own, so that no signal to the agent's process group reaches it, writes to
    DIR/supervisor/log, and inherits nothing else of the agent.

    Raises:
        QuixError: it could not be started, or said nothing.
    """
    layout = Layout(settings.data_dir)
    layout.prepare_supervisor()
    try:
        reading, writing = os.pipe()
        try:
            pid = _spawn(settings, layout, writing, kept)
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
    except OSError as error:
        raise QuixError(f"supervisor: it could not be started: {error}", Exit.SOFTWARE) from error
    return pid, await _outcome(reading, layout)


def _spawn(settings: SupervisorSettings, layout: Layout, output: int, kept: Sequence[tuple[str, int]]) -> int:
    environ = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return os.posix_spawn(
        sys.executable,
        [*_COMMAND, *settings.argv()],
        environ | handover.environment(kept),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_OPEN, 2, str(layout.log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            # To itself: that leaves it open in the child (posix_spawn_file_actions_adddup2(3)).
            *((os.POSIX_SPAWN_DUP2, number, number) for _, number in kept),
        ],
        setsid=True,
        setsigmask=(),
    )


async def _outcome(reading: int, layout: Layout) -> Started:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb"))
    try:
        async with asyncio.timeout(_START_LIMIT):
            line = await reader.readline()
        return msgspec.json.decode(line, type=Started)
    except (TimeoutError, msgspec.DecodeError) as error:
        raise QuixError(f"supervisor: it did not come up; {layout.log} may say why", Exit.SOFTWARE) from error
    finally:
        transport.close()
