"""A shell of somebody's machine, into which the line that the console shows is pasted."""

from __future__ import annotations

import os
import shlex

from acceptance.house import QUIX, House, Program

_INSTALL = """\
(umask 077; printf %s "$QUIX_PASSWORD" > {folder}/password)
exec {quix} agent --server="$QUIX_SERVER" --username="$QUIX_USERNAME" --password-file={folder}/password \
  ${{QUIX_VPN:+--vpn=$QUIX_VPN}} --data-dir={folder}/data {args}
"""


def paste(house: House, line: str, name: str, *args: str, inside: str = "", **env: str) -> Program:
    """Run the line in a shell, in the network namespace `inside` where one is given.

    This machine is no machine of its own, on which something may be installed. So in place of what the server has to
    download, a script with the same variables starts the agent that is here, with more arguments, as `name`.
    """
    folder = house.root / name
    folder.mkdir()
    words = " ".join(shlex.quote(word) for word in (f"--name={name}", *args))
    install = folder / "install"
    install.write_text(_INSTALL.format(folder=folder, quix=QUIX, args=words))
    curl = folder / "curl"
    curl.write_text(f"#!/bin/sh\nexec cat {install}\n")
    curl.chmod(0o755)
    argv = ["ip", "netns", "exec", inside] if inside else []
    return house.start(name, [*argv, "sh", "-c", line], {"PATH": f"{folder}:{os.environ['PATH']}", **env})
