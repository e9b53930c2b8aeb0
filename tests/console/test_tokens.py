"""One's own tokens, logins and password."""

from __future__ import annotations

import json
import re
import urllib.request

from playwright.sync_api import Browser, Page, expect

from acceptance.house import House, Server
from harness.console import log_in
from harness.server import PASSWORD


def open_tokens(page: Page) -> None:
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Tokens").click()
    expect(page.get_by_role("heading", name="Tokens", exact=True)).to_be_visible()


def names_of(http: str, token: str) -> list[str]:
    """The backends that whoever has the token sees."""
    request = urllib.request.Request(f"{http}/api/v1/backends", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request) as answer:
        return [backend["name"] for backend in json.load(answer)["items"]]


def test_a_token_is_made_shown_once_used_and_ended(page: Page, server: Server) -> None:
    log_in(page, server.http)
    open_tokens(page)
    page.get_by_role("button", name="Make a token").click()
    dialog = page.get_by_role("dialog", name="Make a token")
    dialog.get_by_label("Name").fill("ci")
    dialog.get_by_label("May do").select_option("viewer")
    dialog.get_by_label("Ends after").select_option("a week")
    dialog.get_by_label("Machines").fill("m1")
    dialog.get_by_label("Machines").press("Enter")
    expect(dialog.get_by_role("button", name="Take away m1")).to_be_visible()
    dialog.get_by_role("button", name="Make it").click()
    shown = page.get_by_role("dialog", name="The token ci")
    secret = shown.get_by_role("region", name="The token").inner_text().strip()
    shown.get_by_role("button", name="Copy").click()
    expect(shown.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == secret
    assert names_of(server.http, secret) == ["m1"]

    shown.get_by_role("button", name="Done").click()
    row = page.get_by_role("region", name="Personal tokens").get_by_role("row", name=re.compile("ci"))
    expect(row).to_contain_text("viewer")
    expect(row).to_contain_text("m1")
    assert secret not in page.content()
    row.get_by_role("button", name="End").click()
    page.get_by_role("dialog", name="End the token ci?").get_by_role("button", name="End it").click()
    expect(row).to_have_count(0)


def test_what_is_refused_shows_beside_its_field(page: Page, server: Server) -> None:
    log_in(page, server.http)
    open_tokens(page)
    page.get_by_role("button", name="Make a token").click()
    dialog = page.get_by_role("dialog", name="Make a token")
    dialog.get_by_label("Labels").fill("north")
    dialog.get_by_label("Labels").press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("north is no label")
    dialog.get_by_label("Labels").fill("")
    dialog.get_by_label("Name").fill("two words")
    dialog.get_by_role("button", name="Make it").click()
    name = dialog.get_by_label("Name")
    expect(name).to_have_attribute("aria-invalid", "true")
    expect(name).to_be_focused()
    expect(name).to_have_accessible_description(re.compile("letters, digits, dots"))
    name.fill("fine")
    dialog.get_by_label("Machines").fill("nowhere")
    dialog.get_by_role("button", name="Make it").click()
    machines = dialog.get_by_label("Machines", exact=True)
    expect(machines).to_have_accessible_description(re.compile("no backend"))


def test_another_login_is_ended_and_this_one_is_marked(page: Page, browser: Browser, server: Server) -> None:
    log_in(page, server.http, "op")
    other = browser.new_context().new_page()
    log_in(other, server.http, "op")
    open_tokens(page)
    logins = page.get_by_role("region", name="Logins")
    expect(logins.get_by_role("row").filter(has_text="this one")).to_have_count(1)
    before = logins.get_by_role("row").count()
    # The newest that is not this one is the other browser's.
    logins.get_by_role("button", name="End").first.click()
    page.get_by_role("dialog", name="End this login?").get_by_role("button", name="End it").click()
    expect(logins.get_by_role("row")).to_have_count(before - 1)
    other.reload()
    expect(other.get_by_role("button", name="Log in")).to_be_visible()
    other.context.close()


def test_ones_own_password_is_changed(page: Page, browser: Browser, house: House) -> None:
    server = house.server()
    log_in(page, server.http, "op")
    other = browser.new_context().new_page()
    log_in(other, server.http, "op")
    open_tokens(page)
    page.get_by_role("button", name="Change my password").click()
    dialog = page.get_by_role("dialog", name="Change my password")
    old = dialog.get_by_label("Password of now")
    old.fill("not the password")
    dialog.get_by_label("New password").fill("another horse")
    dialog.get_by_role("button", name="Change it").click()
    expect(old).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()
    old.fill(PASSWORD)
    dialog.get_by_role("button", name="Change it").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("region", name="Logins").get_by_role("row")).to_have_count(2)
    other.reload()
    other.get_by_label("User", exact=True).fill("op")
    other.get_by_label("Password").fill("another horse")
    other.get_by_role("button", name="Log in").click()
    expect(other.get_by_role("heading", name="Fleet")).to_be_visible()
    other.context.close()
