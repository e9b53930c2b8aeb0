"""Running the system's tools: what is missing is named, and nothing secret is repeated."""

from __future__ import annotations

import pytest

from quix.vpn import tools
from quix.vpn.tools import ToolError
from quix.vpn.wireguard import generate_keys


def test_what_a_tool_prints_is_returned_and_its_stdin_given() -> None:
    keys = generate_keys()
    assert tools.run("wg", "pubkey", given=keys.private).strip() == keys.public


def test_a_failure_is_one_line_without_keys() -> None:
    with pytest.raises(ToolError, match=r"^wg pubkey: ") as caught:
        tools.run("wg", "pubkey", given="nonsense")
    assert "\n" not in str(caught.value)
    key = generate_keys().private
    with pytest.raises(ToolError) as caught:
        tools.run("wg", "set", "no-such", "peer", f"{key}x")
    assert key[:40] not in str(caught.value)


def test_what_is_not_installed_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "PATH", "/nowhere")
    with pytest.raises(ToolError, match=r"wg is not installed \(package wireguard-tools\)"):
        tools.run("wg", "genkey")
    lacking = tools.missing("ip", "wg")
    assert lacking is not None
    assert lacking.startswith("ip (package iproute2) and wg (package wireguard-tools)")


def test_a_tool_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "_PATIENCE", 0.1)
    with pytest.raises(ToolError, match=r"sleep took longer than 0\.1 s"):
        tools.run("sleep", "100")
