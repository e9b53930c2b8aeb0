"""The line that makes a machine a backend, to be pasted into a shell of that machine."""

from __future__ import annotations

import re
from typing import Final, Literal
from urllib.parse import SplitResult, urlsplit

from quix.exits import Exit, QuixError
from quix.hosts import is_loopback
from quix.link.listener import split_address
from quix.server.certificate import public_key_pin, tls_files
from quix.server.settings import ServerSettings

VpnKind = Literal["wireguard", "openvpn"]

SERVER_URL: Final = r"^wss?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~-]+)*/wsi$"
"""What agents dial. No character of it means anything to a shell between single quotes, nor in a TOML string."""

_EVERYWHERE: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - they are recognised, and not listened on


def agents_url(settings: ServerSettings, asked: str) -> str:
    """Return the URL at which agents reach this server. `asked` is the host by which whoever asks has reached it, for
    a server that listens everywhere, and so does not know its own name.

    Raises:
        QuixError: what is known makes no URL.
    """
    host, port = split_address(settings.listen)
    name = asked if host in _EVERYWHERE else host
    scheme = "ws" if tls_files(settings) is None else "wss"
    return checked(f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}/wsi")


def checked(url: str) -> str:
    """Return a URL that agents may dial.

    Raises:
        QuixError: it is none, or whoever is on the way could change what is installed, and read the password.
    """
    parts = _parts(url)
    if parts is None:
        raise QuixError(f"server: {url!r} is not of the form wss://HOST[:PORT]/wsi", Exit.DATA)
    if parts.scheme == "ws" and not is_loopback(parts.hostname or ""):
        remedy = "start the server with tls_self_signed or tls_cert, or name the proxy before it as server: wss://..."
        raise QuixError(f"server: {url} is plain text, and what is installed comes that way; {remedy}", Exit.DATA)
    return url


def _parts(url: str) -> SplitResult | None:
    """Return the parts of a URL that agents could dial; None where no agent could."""
    try:
        parts = urlsplit(url)
        is_usable = parts.port != 0 and re.fullmatch(SERVER_URL, url) is not None
    except ValueError:  # a port above 65535, or what is no address in brackets
        return None
    return parts if is_usable else None


def line(settings: ServerSettings, url: str, name: str, secret: str, vpn: VpnKind | None) -> str:
    """Return the line. `url` is one that `checked` let through; `name` and `secret` are of an enrolment key.

    The secret is in no argument of a program: `echo` is the shell's own. Where something goes wrong with the
    download, the shell that reads it is told to fail.
    """
    said = f"QUIX_SERVER={url} QUIX_USERNAME={name} QUIX_PASSWORD={secret}" + (f" QUIX_VPN={vpn}" if vpn else "")
    pin = public_key_pin(settings)
    # Without a chain that could be checked, the key itself is: curl refuses any other, -k or not.
    trust = f"-k --pinnedpubkey '{pin}' " if pin and url.startswith("wss:") else ""
    source = re.sub("^ws", "http", url).removesuffix("/wsi") + "/install"
    curl = f"curl -fsS --retry 5 {trust}'{source}'"
    return f"{{ echo '{said}'; {curl} || echo exit 1; }} | $(test $(id -u) = 0 || echo sudo) sh"
