"""A real server with real agents, and a real browser in front of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from acceptance.house import House, Server
from harness.console import CHROMIUM, Console


@pytest.fixture(scope="session")
def server(common: House) -> Server:
    """A server with one machine, `m1`, that many tests look at; with WireGuard configurations to hand out."""
    server = common.server(name="shown", vpn__wireguard__enabled="true", vpn__wireguard__endpoint="vpn.example:51820")
    common.agent(server.url).wait_for("enrolled")
    return server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, house: House) -> Iterator[Page]:
    """A page of a browser that has never been here. Errors on its console fail the test. It is closed before the
    servers of `house` are: what these leave unanswered then is no error."""
    context = browser.new_context(
        viewport={"width": 1440, "height": 900}, permissions=["clipboard-read", "clipboard-write"]
    )
    page = context.new_page()
    console = Console(page)
    yield page
    context.close()
    assert not console.errors, console.errors
