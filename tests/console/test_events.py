"""The page of events leads to what they are about."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from acceptance.house import Server
from harness.console import log_in


def test_events_lead_to_their_machine_and_their_run(page: Page, server: Server) -> None:
    log_in(page, server.http, "op")
    page.get_by_role("link", name="m1").click()
    page.get_by_role("navigation", name="About m1").get_by_role("link", name="Runs").click()
    page.get_by_role("textbox", name="Command").fill("echo of an event")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("log", name="Output")).to_have_text("of an event\n", timeout=30_000)
    run = page.url

    main = page.get_by_role("navigation", name="Main")
    main.get_by_role("link", name="Events").click()
    event = page.get_by_role("listitem").filter(has_text="run ended").first
    event.get_by_role("link", name=re.compile("^run ")).click()
    expect(page.get_by_role("log", name="Output")).to_have_text("of an event\n", timeout=30_000)
    assert page.url == run

    main.get_by_role("link", name="Events").click()
    event.get_by_role("link", name="m1").click()
    expect(page.get_by_role("navigation", name="About m1").get_by_role("link", name="Overview")).to_have_attribute(
        "aria-current", "page"
    )
