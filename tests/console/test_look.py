"""How every page looks to people, and to tools that help people: dark, light, on a phone, and to axe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from acceptance.house import Server
from harness.console import Console, log_in

AXE = Path(__file__).parents[2] / "console" / "node_modules" / "axe-core" / "axe.min.js"

PLACES = ["Fleet", "Alerts", "VPN", "Events", "Users", "Tokens", "Audit log"]
DIALOGS = {
    "Users": [("Add a user", "a new user"), ("Labels", "labels of a user")],
    "Tokens": [("Make a token", "a new token"), ("Change my password", "one's password")],
}
TABS = ["Overview", "Processes", "Runs", "VPN"]


def serious(page: Page) -> list[str]:
    """What axe finds that is serious or critical."""
    page.evaluate(AXE.read_text())  # by the debugger, which the page's policy does not bind
    found = page.evaluate("axe.run()")
    assert found["passes"], "axe has looked at something"
    return [
        f"{each['id']}: {node['html'][:200]} {node['failureSummary']}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def overflow(page: Page) -> int:
    """Pixels that the page is wider than the window."""
    wide: int = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return wide


def check(page: Page, what: str) -> None:
    expect(page.get_by_text("Loading…")).to_have_count(0, timeout=30_000)
    assert serious(page) == [], what
    assert overflow(page) <= 0, what


def check_alerts(page: Page) -> None:
    """The pages of alerts, with something that fires, and their forms with something wrong."""
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Alerts").click()
    expect(page.get_by_role("region", name="Alerts that fire")).to_be_visible(timeout=30_000)
    check(page, "alerts")
    for tab, button in (("Rules", "Add a rule"), ("Channels", "Add a channel")):
        page.get_by_role("navigation", name="About alerts").get_by_role("link", name=tab).click()
        check(page, tab)
        page.get_by_role("button", name=button).click()
        page.get_by_role("form").get_by_label("Name", exact=True).fill("used")
        check(page, button)
        page.keyboard.press("Escape")
    page.get_by_role("navigation", name="About alerts").get_by_role("link", name="Silences").click()
    check(page, "silences")
    look_at_dialogs(page, [("Silence alerts", "a silence")])


@pytest.fixture(scope="module", autouse=True)
def firing(server: Server) -> Iterator[None]:
    """A rule that holds for every machine."""
    rest = server.rest()
    rule = rest.post("/alerts/rules", name="used", metric="memory", threshold=0, **{"for": 0})
    yield
    rest.call("DELETE", f"/alerts/rules/{rule['id']}")


def look_at_dialogs(page: Page, dialogs: list[tuple[str, str]]) -> None:
    """Check what each button opens, and close it again."""
    for button, what in dialogs:
        page.get_by_role("button", name=button).first.click()
        expect(page.get_by_role("dialog")).to_be_visible()
        check(page, what)
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("width", [1440, 390])
def test_every_page_can_be_used_by_everybody(browser: Browser, server: Server, scheme: str, width: int) -> None:
    dark = "dark" if scheme == "dark" else "light"
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=dark)  # type: ignore[arg-type]
    page = context.new_page()
    console = Console(page)
    page.goto(server.http)
    check(page, "login")
    assert page.locator("html").get_attribute("data-theme") == scheme
    log_in(page, server.http)
    for place in PLACES:
        page.get_by_role("navigation", name="Main").get_by_role("link", name=place).click()
        expect(page.get_by_role("heading", name=place, level=1)).to_be_visible()
        check(page, place)
        look_at_dialogs(page, DIALOGS.get(place, []))
    check_alerts(page)
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Fleet").click()
    page.get_by_role("button", name="Add a machine").click()
    check(page, "enrol")
    page.get_by_role("button", name="Make the line").click()
    expect(page.get_by_text("Waiting for the machine")).to_be_visible()
    check(page, "line")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="m1").click()
    look_at_dialogs(page, [("Rename", "rename"), ("Labels", "labels"), ("Revoke", "revoke"), ("Remove", "remove")])
    for tab in TABS:
        page.get_by_role("navigation", name="About m1").get_by_role("link", name=tab).click()
        check(page, tab)
    context.close()
    assert not console.errors


def test_dark_and_light_are_chosen_and_stay_chosen(page: Page, server: Server) -> None:
    page.emulate_media(color_scheme="dark")
    log_in(page, server.http)
    html = page.locator("html")
    expect(html).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="Light colours").click()
    expect(html).to_have_attribute("data-theme", "light")
    page.reload()
    expect(html).to_have_attribute("data-theme", "light")
    page.get_by_role("button", name="Dark colours").click()
    expect(html).to_have_attribute("data-theme", "dark")
    # That was what the system has too, so from here on the page follows the system again.
    page.emulate_media(color_scheme="light")
    expect(html).to_have_attribute("data-theme", "light")


def test_what_a_server_does_not_offer_is_said_plainly(page: Page, server: Server) -> None:
    log_in(page, server.http)
    unknown = '{"reason": "not_found", "detail": "There is nothing at this path."}'
    page.route("**/api/v1/audit*", lambda route: route.fulfill(status=404, body=unknown))
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Audit log").click()
    expect(page.get_by_role("heading", name="This server does not offer that")).to_be_visible()


def test_every_address_can_be_opened_anew(page: Page, server: Server) -> None:
    log_in(page, server.http)
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Alerts").click()
    links = [*page.get_by_role("navigation").get_by_role("link").all()]
    addresses = {link.get_attribute("href") or "" for link in links}
    assert {"/", "/audit", "/alerts", "/alerts/rules"} <= addresses
    for address in addresses:
        answer = page.request.get(server.http + address, headers={"accept": "text/html"})
        assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, "text/html"), address
