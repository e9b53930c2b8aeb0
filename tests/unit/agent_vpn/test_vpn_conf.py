"""Which configurations are taken: anything that could run a program or open a file is not."""

from __future__ import annotations

import pytest

from quix.agent.vpn_conf import objection

WIREGUARD = """\
# made by a server
[Interface]
PrivateKey = cGxlYXNlIGRvIG5vdCB1c2UgdGhpcyBhcyBhIGtleSE=
Address = 10.83.0.7/32, fd83:7175:6978::7/128
DNS = 10.83.0.1
MTU=1420

[Peer]
publickey = bm9yIHRoaXMgb25lLCBpdCBpcyBub3Qgb25lIGVpdGg=
AllowedIPs = 10.83.0.0/16  # the fleet
Endpoint = th1.s.quix.click:51820
PersistentKeepalive = 25
"""

OPENVPN = """\
client
dev tun
proto udp
remote th1.s.quix.click 1194
# a comment, and ; another
; up /bin/sh
remote-cert-tls server
<connection>
remote th2.s.quix.click 1194 tcp
</connection>
<ca>
-----BEGIN CERTIFICATE-----
up bin/sh
-----END CERTIFICATE-----
</ca>
  <tls-crypt>
key
  </tls-crypt>
verb 3
"""


@pytest.mark.parametrize(("kind", "text"), [("wireguard", WIREGUARD), ("openvpn", OPENVPN)])
def test_an_ordinary_configuration_is_taken(kind: str, text: str) -> None:
    assert objection(kind, text) is None
    assert objection(kind, text.replace("\n", "\r\n")) is None
    assert objection(kind, text.rstrip("\n")) is None


def test_the_seeds_own_example_is_taken() -> None:
    assert objection("wireguard", "[Interface]\nPrivateKey=af8t8 ... ... ... /32") is None


@pytest.mark.parametrize(
    "line",
    [
        "PostUp = touch /tmp/x",
        "PreUp=touch /tmp/x",
        "predown = x",
        "  POSTDOWN\t= x",
        "PostUp\r= x",
        "PostUp #= x",
        "SaveConfig = true",
        "Post\0Up = x",
        "Unheard = of",
        "no equals sign",
        "[Other]",
    ],
)
def test_a_wireguard_line_that_could_run_a_command_is_not_taken(line: str) -> None:
    assert objection("wireguard", f"{WIREGUARD}{line}\n") is not None
    assert objection("wireguard", f"{line}\n{WIREGUARD}") is not None


@pytest.mark.parametrize(
    "line",
    [
        "up /bin/sh",
        "--up /bin/sh",
        '"up" /bin/sh',
        "'up' /bin/sh",
        "u\\p /bin/sh",
        "\tup /bin/sh",
        "plugin /tmp/x.so",
        "script-security 2",
        "tls-verify /tmp/x",
        "auth-user-pass-verify /tmp/x via-env",
        "auth-user-pass /etc/shadow",
        "ca /etc/ssl/ca.pem",
        "config /tmp/other.conf",
        "log /etc/passwd",
        "writepid /etc/passwd",
        "status /etc/passwd",
        "management /tmp/socket unix",
        "setenv LD_PRELOAD /tmp/x.so",
        "engine dynamic",
        "iproute /tmp/x",
        "cd /tmp",
        "chroot /tmp",
        "user root",
        "daemon",
        "<up>",
        "<ca> file",
        "<ca>x",
        "verb 3\0up /bin/sh",
        "verb 3" + " " * 250 + "up /bin/sh",
    ],
)
def test_an_openvpn_line_that_could_run_a_command_or_open_a_file_is_not_taken(line: str) -> None:
    assert objection("openvpn", f"{OPENVPN}{line}\n") is not None
    assert objection("openvpn", f"{line}\n{OPENVPN}") is not None


def test_nothing_hides_behind_the_end_of_an_inline_file() -> None:
    assert objection("openvpn", "<ca>\nA\n</ca>up\nup /bin/sh\n") is not None
    assert objection("openvpn", "<ca>\nA\n </ca>\nup /bin/sh\n") is not None
    # openvpn reads 255 bytes at a time: its inline file would end within the line, and ours only after `up`.
    long = "A" * 255 + "</ca>" + "B" * 250
    assert objection("openvpn", f"<ca>\n{long}up /bin/sh\n</ca>\n") is not None


def test_the_answer_tells_the_line_and_nothing_of_what_it_holds() -> None:
    text = f"{WIREGUARD}PostUp = hunter2\n"
    reason = objection("wireguard", text)
    assert reason is not None
    assert f"line {text.count(chr(10))} " in reason
    assert "hunter2" not in reason
