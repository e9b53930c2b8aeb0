"""Users, by an admin."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, expect

from acceptance.house import House, Server
from harness.console import log_in


def test_a_user_is_added_changed_and_removed(page: Page, server: Server) -> None:
    log_in(page, server.http)
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Users").click()
    page.get_by_role("button", name="Add a user").click()
    dialog = page.get_by_role("dialog", name="Add a user")
    dialog.get_by_label("Name").fill("ada")
    dialog.get_by_label("Password").fill("ada's password")
    dialog.get_by_label("Role").select_option("viewer")
    dialog.get_by_role("button", name="Add").click()
    row = page.get_by_role("row", name=re.compile("ada"))
    expect(row).to_be_visible()
    role = page.get_by_label("Role of ada")
    expect(role).to_have_value("viewer")
    with page.expect_response("**/api/v1/users/ada"):
        role.select_option("operator")
    page.reload()
    expect(role).to_have_value("operator")
    row.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)


def test_the_last_admin_cannot_be_changed(page: Page, server: Server) -> None:
    log_in(page, server.http)
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Users").click()
    page.get_by_label("Role of root").select_option("viewer")
    expect(page.get_by_role("status").get_by_text("admin")).to_be_visible()
    expect(page.get_by_label("Role of root")).to_have_value("admin")


def test_labels_limit_what_a_user_sees(page: Page, browser: Browser, house: House) -> None:
    server = house.server()
    for name, site in (("web-1", "north"), ("web-2", "south")):
        house.agent(server.url, f"--label=site={site}", name=name).wait_for("enrolled")
    log_in(page, server.http)
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Users").click()
    row = page.get_by_role("row", name=re.compile("^watch"))
    expect(row).to_contain_text("all")
    row.get_by_role("button", name="Labels").click()
    dialog = page.get_by_role("dialog", name="Machines of watch")
    dialog.get_by_label("Labels").fill("site=north")
    dialog.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("site=north")
    other = browser.new_context().new_page()
    log_in(other, server.http, "watch")
    expect(other.get_by_role("link", name="web-1")).to_be_visible()
    expect(other.get_by_role("link", name="web-2")).to_have_count(0)
    other.context.close()

    row.get_by_role("button", name="Labels").click()
    dialog.get_by_role("button", name="Take away site=north").click()
    dialog.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("all")


def test_the_last_admin_who_sees_all_cannot_be_limited(page: Page, server: Server) -> None:
    log_in(page, server.http)
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Users").click()
    page.get_by_role("row", name=re.compile("^root")).get_by_role("button", name="Labels").click()
    dialog = page.get_by_role("dialog", name="Machines of root")
    dialog.get_by_label("Labels").fill("site=north")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_label("Labels", exact=True)).to_have_accessible_description(re.compile("admin"))
