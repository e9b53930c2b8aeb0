"""Which VPN configurations the agent takes from a server.

A configuration is more than addresses and keys: wg-quick(8) runs the commands in it as root, openvpn(8) its scripts
and plugins. A server that was broken into must not get root on its whole fleet that way, so only what is known to be
harmless is let through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_WIREGUARD: Final = frozenset({
    "[interface]", "address", "dns", "fwmark", "listenport", "mtu", "privatekey", "table", "[peer]", "allowedips",
    "endpoint", "persistentkeepalive", "presharedkey", "publickey",
})  # fmt: skip
"""All that wg-quick(8) and wg(8) know, in small letters, but for PreUp, PostUp, PreDown, PostDown and SaveConfig."""

_OPENVPN: Final = frozenset({
    "auth", "auth-nocache", "bind", "cipher", "client", "connect-retry", "connect-retry-max", "connect-timeout",
    "data-ciphers", "data-ciphers-fallback", "dev", "dev-type", "dhcp-option", "explicit-exit-notify", "float",
    "fragment", "hand-window", "ifconfig", "ifconfig-ipv6", "inactive", "keepalive", "key-direction", "local",
    "lport", "mssfix", "mute", "mute-replay-warnings", "nobind", "persist-key", "persist-tun", "ping", "ping-exit",
    "ping-restart", "port", "proto", "pull", "pull-filter", "rcvbuf", "redirect-gateway", "remote", "remote-cert-eku",
    "remote-cert-tls", "remote-random", "reneg-bytes", "reneg-sec", "resolv-retry", "route", "route-delay",
    "route-gateway", "route-ipv6", "route-metric", "route-nopull", "rport", "server-poll-timeout", "sndbuf",
    "tls-cipher", "tls-ciphersuites", "tls-client", "tls-groups", "tls-timeout", "tls-version-max", "tls-version-min",
    "topology", "tun-mtu", "verb", "verify-x509-name", "<connection>", "</connection>",
})  # fmt: skip
"""Directives of openvpn(8) that neither run a program nor name a file."""

_OPENVPN_INLINE: Final = frozenset(
    {"ca", "cert", "crl-verify", "extra-certs", "key", "tls-auth", "tls-crypt", "tls-crypt-v2"}
)
"""What may stand in the configuration as `<ca> ... </ca>`, and only so: their other form names a file."""

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""bash drops NUL bytes and openvpn ends lines at them, so what we read would not be what they read."""

_LONGEST_LINE: Final = 250
"""Bytes. openvpn reads 255 at a time and takes what follows for the next line (options.h, OPTION_LINE_SIZE)."""


def objection(kind: str, text: str) -> str | None:
    """Return why a configuration of `kind` is not to be taken, or None. No part of its values is in the answer."""
    if _CONTROL.search(text):
        return "it holds control characters"
    if kind == "openvpn" and any(len(line.encode()) > _LONGEST_LINE for line in text.split("\n")):
        return f"a line is longer than {_LONGEST_LINE} bytes"
    words = _wireguard_words(text) if kind == "wireguard" else _openvpn_words(text)
    known = _WIREGUARD if kind == "wireguard" else _OPENVPN
    for number, word in words:
        if word not in known:
            return f"line {number} is none of those known to be harmless"
    return None


def _wireguard_words(text: str) -> Iterable[tuple[int, str]]:
    """Yield each line's number and key, read as wg-quick reads them."""
    for number, line in enumerate(text.split("\n"), 1):
        key = line.partition("#")[0].partition("=")[0].strip().lower()
        if key:
            yield number, key


def _openvpn_words(text: str) -> Iterable[tuple[int, str]]:
    """Yield each line's number and directive; the insides of inline files are passed over."""
    closing = None
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if closing is not None:
            # As openvpn has it: the file ends at a line that begins so, whatever follows (options.c).
            closing = None if line.lstrip().startswith(closing) else closing
        elif words and len(words) == 1 and words[0][1:-1] in _OPENVPN_INLINE and words[0] == f"<{words[0][1:-1]}>":
            closing = f"</{words[0][1:]}"
        elif words and words[0][0] not in "#;":
            yield number, words[0]
