"""`quix systemd-units`: what systemd needs to run Quix, with the path of this very `quix`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Final

import typer

from quix.cli.output import Json, emit, say
from quix.exits import Exit, QuixError

_SHIPPED_PATH: Final = "/usr/bin/quix"

_PLACES: Final = {
    "quix-server.service": "systemd/system/quix-server.service",
    "quix-supervisor.service": "systemd/system/quix-supervisor.service",
    "quix-agent.service": "systemd/system/quix-agent.service",
    "quix.sysusers": "sysusers.d/quix.conf",
}
"""Where below /etc each file of `quix/systemd` belongs."""

_HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - they are asked about, not used
"""Where the units' own settings keep services from looking (ProtectHome=, PrivateTmp=; systemd.exec(5))."""


def systemd_units(
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write them below DIR, which is /etc on most systems.")
    ] = None,
    json: Json = False,
) -> None:
    """Print the systemd units of server, supervisor and agent, and the users that they need; or write them."""
    command = _command()
    texts = {place: _text(name, command) for name, place in _PLACES.items()}
    if to is None:
        emit(texts, json, "\n".join(f"# /etc/{place}\n{text}" for place, text in texts.items()).rstrip())
    else:
        written = _write(to, texts)
        emit(written, json, "\n".join(written))
    if any(map(command.is_relative_to, _HIDDEN)):
        say(f"quix: services cannot run {command}, which is hidden from them; install Quix in /opt, say")


def _command() -> Path:
    """Return the path of `quix`: beside this Python, or else as it was called."""
    called = Path(sys.argv[0]).absolute()
    for path in (Path(sys.executable).with_name("quix"), called):
        if path.name == "quix" and path.is_file():
            return path
    raise QuixError(f"there is no `quix` beside {sys.executable}; install Quix with pip, then run that", Exit.CONFIG)


def _text(name: str, command: Path) -> str:
    shipped = resources.files("quix").joinpath("systemd", name).read_text()
    # What has a meaning of its own in a unit's command line (systemd.unit(5), systemd.service(5)).
    path = str(command).replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"')
    return shipped.replace(_SHIPPED_PATH, f'"{path}"' if " " in path else path)


def _write(folder: Path, texts: Mapping[str, str]) -> list[str]:
    for place, text in texts.items():
        path = folder / place
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o644)
        except OSError as error:
            raise QuixError(f"--to: {path}: {error.strerror}", Exit.CONFIG) from error
    return [str(folder / place) for place in texts]
