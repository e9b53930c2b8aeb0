"""Make docs/session.svg: a real session in a terminal, with `quix demo` running. `make picture` runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

HTTP, LISTEN = "127.0.0.1:8480", "127.0.0.1:8470"
COMMANDS = (
    "quix ls",
    "quix run demo -- sh -c 'echo building; exit 3'; echo status $?",
    "quix run --memory 50M demo -- python3 -c 'x = bytearray(10**9)'",
    "quix run -d demo -- python3 -m http.server 8088",
    "quix ps demo",
    "quix kill demo PID",
    "quix runs demo",
    "quix telemetry demo",
)


@contextmanager
def demo() -> Iterator[str]:
    """Run the demo; give the password that it printed."""
    command = [sys.executable, "-m", "quix", "demo", "--http", HTTP, "--listen", LISTEN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        password = next(line.split()[1] for line in process.stdout if line.strip().startswith("password"))
        try:
            yield password
        finally:
            process.terminate()


def shell(command: str, home: str, text: str | None = None) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = os.environ | {"XDG_CONFIG_HOME": home, "COLUMNS": "104", "PATH": path}
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env=environ, input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    return done.stdout.rstrip("\n")


def until_online(home: str) -> None:
    while "online" not in shell("quix ls", home):
        pass


def main() -> None:
    console = Console(record=True, width=104, file=Path(os.devnull).open("w"))  # noqa: SIM115 - ends with us
    with tempfile.TemporaryDirectory() as home, demo() as password:
        shell(f"quix login http://{HTTP} --username admin --password-stdin", home, password)
        until_online(home)
        pid = ""
        for shown in COMMANDS:
            command = shown.replace("PID", pid)
            output = shell(command, home)
            if command.startswith("quix ps"):
                pid = re.findall(r"^\s*(\d+)", output, re.MULTILINE)[0]
            console.print(Text.assemble(("$ ", "green"), (command, "bold")))
            console.print(Text(output + "\n" if output else ""))
    svg = console.export_svg(title="quix demo")
    # The picture brings no font from elsewhere: whoever looks at it has a monospaced one.
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL).replace("Fira Code", "monospace")
    Path(__file__).with_name("session.svg").write_text(svg)


if __name__ == "__main__":
    main()
