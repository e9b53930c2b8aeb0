"""A newcomer with nothing but the console: a machine is enrolled, looked at, used, connected, and found in the audit.

Server and machine are network namespaces on one cable, the browser is beside the server, and the tunnel is a real one.
The very line of the console is run, which installs the agent below a folder of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from acceptance.house import House, until
from harness.console import CHROMIUM, Console, log_in
from harness.lan import Lan, Machine
from harness.wheels import fetch

pytestmark = pytest.mark.root

SLOW, INSTALLING = 30_000, 120_000
TUNNEL_SERVER = "10.83.0.1"


@pytest.fixture
def lan() -> Iterator[Lan]:
    lan = Lan()
    yield lan
    lan.remove()


@pytest.fixture
def house(lan: Lan, users: Path) -> Iterator[House]:
    """A house that ends before its machines do."""
    house = House(users)
    yield house
    house.close()


@pytest.fixture
def hub(lan: Lan) -> Machine:
    return lan.machine()


@pytest.fixture
def wheels(tmp_path: Path) -> dict[str, str]:
    """The machine reaches the server and nothing else, so what pip wants is beside it."""
    return fetch(tmp_path)


@pytest.fixture
def newcomer(hub: Machine, house: House) -> Iterator[Page]:
    """A page of a browser on the server's machine. Errors on its console fail the test."""
    program = house.root / "browser"
    program.write_text(f'#!/bin/sh\nexec ip netns exec {hub.name} {CHROMIUM} "$@"\n')
    program.chmod(0o755)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        console = Console(page)
        yield page
        browser.close()
    assert not console.errors, console.errors


def place(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Main").get_by_role("link", name=name).click()


def tab(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="About newcomer").get_by_role("link", name=name).click()


def row(page: Page, *words: str) -> Locator:
    """The row that holds all of these words."""
    rows = page.get_by_role("row")
    for word in words:
        rows = rows.filter(has_text=re.compile(word))
    return rows


@pytest.mark.timeout(300)
def test_the_console_alone_is_enough(
    newcomer: Page, house: House, lan: Lan, hub: Machine, wheels: dict[str, str]
) -> None:
    page = newcomer
    wireguard = {"enabled": "true", "device": "auto", "endpoint": f"{hub.address}:51820", "interface": hub.tunnel}
    settings: dict[str, Any] = {f"vpn__wireguard__{name}": value for name, value in wireguard.items()}
    server = house.server("--tls-self-signed", host=hub.address, inside=hub.name, **settings)
    machine = lan.machine()
    log_in(page, server.http)

    # Enrol a machine.
    page.get_by_role("button", name="Make the line").click()
    line = page.get_by_role("region", name="The line that adds a machine").inner_text()
    env = {"QUIX_PREFIX": str(house.root / "newcomer"), "QUIX_NAME": "newcomer", "QUIX_VPN_INTERFACE": machine.tunnel}
    shell = house.start("shell", ["ip", "netns", "exec", machine.name, "sh", "-c", line], {**wheels, **env})
    page.get_by_role("link", name="newcomer online").click(timeout=INSTALLING)
    assert shell.wait(60) == 0, shell.text

    # See its load.
    expect(page.get_by_role("img", name=re.compile(r"^CPU: .*\d %"))).to_be_visible(timeout=SLOW)
    expect(page.get_by_role("img", name=re.compile(r"^Memory: used \d"))).to_be_visible()

    # Run a command, read its output, stop it.
    tab(page, "Runs")
    page.get_by_role("textbox", name="Command").fill("echo hello from the machine; sleep 600")
    page.get_by_label("by a shell").check()
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("log", name="Output")).to_have_text("hello from the machine\n", timeout=SLOW)
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog", name=re.compile("Stop")).get_by_role("button", name="Stop").click()
    expect(page.get_by_text("SIGTERM", exact=True)).to_be_visible(timeout=SLOW)

    # Connect it to the VPN.
    tab(page, "VPN")
    page.get_by_role("button", name="Connect", exact=True).click()
    expect(page.get_by_text("connected", exact=True)).to_be_visible(timeout=SLOW)
    until(lambda: machine.reaches(TUNNEL_SERVER), "packets pass through the tunnel")
    place(page, "VPN")
    expect(row(page, "newcomer", "connected", r"10\.83\.0\.")).to_be_visible(timeout=SLOW)

    # Find all that in the audit log.
    place(page, "Audit log")
    expect(row(page, "backend enrolled", "newcomer", "done")).to_be_visible(timeout=SLOW)
    expect(row(page, "root", "vpn tunnel", "newcomer", "change up", "done")).to_be_visible()
    expect(row(page, "root", "signal", "newcomer", "SIGTERM", "done")).to_be_visible()
    row(page, "root", "execute", "newcomer", "program sh", "done").get_by_role("link", name="program sh").click()
    expect(page.get_by_role("log", name="Output")).to_have_text("hello from the machine\n", timeout=SLOW)
