"""Which hosts are this machine."""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine, where nobody else listens in: `localhost`, or a loopback address.

    A name that merely begins like one, `127.example.org`, is somebody else's.
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
