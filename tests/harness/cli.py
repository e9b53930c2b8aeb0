"""Real `quix` commands, beside a server that runs in this process."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
from pathlib import Path
from typing import Any, NamedTuple

QUIX = str(Path(sys.executable).with_name("quix"))


class Result(NamedTuple):
    """What a command left: its exit status and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout of a command that did well."""
        assert self.code == 0, self
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """The one line on stderr of a command that failed."""
        assert self.code != 0, self
        assert self.out == ""
        assert self.err.startswith("quix: "), self
        assert self.err.count("\n") == 1, self
        return self.err.removeprefix("quix: ").rstrip("\n")


class Shell:
    """Somebody's shell: `home` holds what `quix login` keeps, `env` is for every command."""

    def __init__(self, home: Path) -> None:
        self.home = home
        clean = {name: value for name, value in os.environ.items() if not name.startswith("QUIX_")}
        path = f"{Path(QUIX).parent}:{os.environ['PATH']}"
        self.env = {**clean, "XDG_CONFIG_HOME": str(home), "PATH": path}

    @property
    def credentials(self) -> Path:
        return self.home / "quix" / "credentials.json"

    async def quix(self, *args: str, stdin: str | bytes = "", env: dict[str, str] | None = None) -> Result:
        """Run a command to its end."""
        process = await asyncio.create_subprocess_exec(
            QUIX,
            *args,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**self.env, **(env or {})},
        )
        given = stdin.encode() if isinstance(stdin, str) else stdin
        async with asyncio.timeout(60):
            out, err = await process.communicate(given)
        assert process.returncode is not None
        return Result(process.returncode, out.decode(), err.decode())

    async def on_terminal(self, *args: str, columns: int = 80) -> Result:
        """Run a command whose stdout is a terminal of that many columns; what it wrote there is `out`."""
        ours, theirs = pty.openpty()
        env = {**self.env, "TERM": "xterm", "COLUMNS": str(columns)}
        process = await asyncio.create_subprocess_exec(
            QUIX, *args, stdin=asyncio.subprocess.DEVNULL, stdout=theirs, stderr=asyncio.subprocess.PIPE, env=env
        )
        os.close(theirs)
        reading = asyncio.create_task(asyncio.to_thread(_read_all, ours))
        async with asyncio.timeout(60):
            _, err = await process.communicate()
            text = await reading
        os.close(ours)
        assert process.returncode is not None
        return Result(process.returncode, text.replace("\r\n", "\n"), err.decode())


def _read_all(terminal: int) -> str:
    parts: list[bytes] = []
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux: EIO where the other end is closed
            part = b""
        if not part:
            return b"".join(parts).decode()
        parts.append(part)
