"""Talking to the service manager as sd_notify(3) does, without libsystemd."""

from __future__ import annotations

import os
import socket
from array import array
from collections.abc import Sequence
from typing import Final

VARIABLE: Final = "NOTIFY_SOCKET"


def has_manager() -> bool:
    """Whether a service manager listens to this process."""
    return bool(os.environ.get(VARIABLE))


def tell(*facts: str, descriptors: Sequence[int] = ()) -> str:
    """Send facts such as `READY=1`, and copies of descriptors, to the service manager, where one started this process
    and listens.

    Returns why they were not told, or an empty string; no reason to stop, since the work is the same.
    """
    address = os.environ.get(VARIABLE, "")
    if not address:
        return ""
    # `@` stands for the NUL byte of an abstract socket (sd_notify(3), unix(7)).
    target = "\0" + address[1:] if address.startswith("@") else address
    try:
        # Never waits: whoever does not read must not hold up what works.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sending:
            # Not `send_fds`, which sends to nobody but whom a socket is connected to, whatever it is told.
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))] if descriptors else []
            sending.sendmsg(["\n".join(facts).encode()], rights, 0, target)
    except OSError as error:
        return f"{VARIABLE}: {address}: {error}"
    return ""
