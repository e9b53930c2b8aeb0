"""The agent as a process of its own, without the command line's libraries, which it would keep in memory for nothing.

`quix agent` reads flags, environment and file, and then becomes this: `python -m quix.agent`, with the settings as JSON
in the environment. There is no secret among them; the password stays in its file.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import NoReturn

import msgspec

from quix import logs
from quix.agent import init
from quix.agent.app import serve
from quix.agent.launch import SETTINGS
from quix.agent.settings import AgentSettings
from quix.exits import Exit, QuixError, report


def main() -> NoReturn:
    given = os.environ.pop(SETTINGS, None)
    if given is None:
        sys.exit(report(QuixError("run `quix agent`, which reads the settings", Exit.USAGE)))
    settings = msgspec.json.decode(given, type=AgentSettings, dec_hook=lambda kind, value: kind(value))
    logs.setup(settings.log_format, settings.log_level)
    if os.getpid() == 1:
        init.become()
    try:
        asyncio.run(serve(settings))
    except QuixError as error:
        sys.exit(report(error))
    sys.exit()


if __name__ == "__main__":
    main()
