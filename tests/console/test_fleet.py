"""The fleet: empty, live, searched."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from acceptance.house import House, Server
from harness.console import log_in
from harness.shell import paste


def make_line(page: Page) -> str:
    """Have a line made in the form that is shown; return what the button copies."""
    page.get_by_role("button", name="Make the line").click()
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied: str = page.evaluate("navigator.clipboard.readText()")
    return copied


def test_the_empty_fleet_gives_a_line_that_enrols_a_machine(page: Page, house: House) -> None:
    server = house.server()
    log_in(page, server.http)
    expect(page.get_by_role("heading", name="No machine yet")).to_be_visible()
    line = make_line(page)
    expect(page.get_by_text("Waiting for the machine")).to_be_visible()
    paste(house, line, "newcomer")
    expect(page.get_by_role("link", name="newcomer online")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("1 of 1 machine online")).to_be_visible()


def test_a_line_for_several_machines_gives_them_labels_and_the_dialog_says_who_has_arrived(
    page: Page, house: House
) -> None:
    server = house.server()
    house.agent(server.url).wait_for("enrolled")
    log_in(page, server.http)
    page.get_by_role("button", name="Add a machine").click()
    dialog = page.get_by_role("dialog", name="Add a machine")
    dialog.get_by_label("It works for").select_option("1 day")
    dialog.get_by_label("Machines", exact=True).fill("2")
    dialog.get_by_label("Labels").fill("site")
    dialog.get_by_role("button", name="Make the line").click()
    expect(dialog.get_by_label("Labels")).to_have_accessible_description("site is no label; write name=value")
    dialog.get_by_label("Labels").fill("site=north")
    line = make_line(page)
    expect(dialog).to_contain_text("2 machines")
    paste(house, line, "one")
    expect(dialog.get_by_text("one has arrived.")).to_be_visible(timeout=30_000)
    expect(dialog.get_by_text("1 of 2: waiting for the others…")).to_be_visible()

    # The line is told once, so closing the dialog does not lose it.
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Add a machine").click()
    expect(dialog.get_by_role("region", name="The line that adds a machine")).to_have_text(line)
    paste(house, line, "two")
    expect(dialog.get_by_text("two has arrived.")).to_be_visible(timeout=30_000)
    expect(dialog.get_by_text("waiting")).to_have_count(0)
    dialog.get_by_role("link", name="two").click()
    expect(page.get_by_role("heading", name="two")).to_be_visible()
    expect(page.get_by_text("site=north")).to_be_visible()


def test_a_line_that_was_made_before_is_ended(page: Page, house: House) -> None:
    server = house.server()
    log_in(page, server.http)
    make_line(page)
    page.get_by_role("button", name="Make another line").click()
    page.get_by_text("1 line made before still works").click()
    page.get_by_role("button", name=re.compile("^End key-")).click()
    expect(page.get_by_text("made before")).to_have_count(0)
    assert server.rest().get("/enrolments")["items"] == []


def test_where_a_line_would_travel_in_plain_text_the_field_says_so(page: Page, house: House) -> None:
    server = house.server()
    log_in(page, server.http)
    address = page.get_by_label("Where they reach this server")
    address.fill("ws://quix.example/wsi")
    page.get_by_role("button", name="Make the line").click()
    expect(address).to_have_accessible_description(re.compile("plain text"))
    expect(address).to_have_value("ws://quix.example/wsi")


def test_an_operator_gets_the_command_with_a_password(page: Page, house: House) -> None:
    server = house.server()
    log_in(page, server.http, "op")
    command = page.get_by_role("region", name="The command that enrols a machine")
    expect(command).to_contain_text(f"--server {server.url}")


def test_machines_come_and_go_without_a_reload(page: Page, house: House) -> None:
    server = house.server()
    house.agent(server.url, name="first").wait_for("enrolled")
    log_in(page, server.http)
    expect(page.get_by_role("link", name="first online")).to_be_visible()
    page.evaluate("globalThis.isSamePage = true")
    second = house.agent(server.url, name="second")
    expect(page.get_by_role("link", name="second online")).to_be_visible(timeout=30_000)
    second.terminate()
    expect(page.get_by_role("link", name="second offline")).to_be_visible(timeout=30_000)
    assert page.evaluate("globalThis.isSamePage")


def test_search_labels_and_order(page: Page, house: House) -> None:
    server = house.server()
    for name, site in (("web-10", "north"), ("web-9", "south"), ("db-1", "north")):
        house.agent(server.url, f"--label=site={site}", name=name).wait_for("enrolled")
    log_in(page, server.http)
    names = page.get_by_role("table", name="Machines").get_by_role("link")
    expect(names).to_have_text([re.compile(name) for name in ("db-1", "web-9", "web-10")], timeout=30_000)

    page.get_by_role("button", name="Machine", exact=True).click()
    expect(names).to_have_text([re.compile(name) for name in ("web-10", "web-9", "db-1")])
    expect(page.get_by_role("columnheader", name="Machine")).to_have_attribute("aria-sort", "descending")

    page.get_by_role("button", name="site=north").first.click()
    expect(names).to_have_text([re.compile(name) for name in ("web-10", "db-1")])
    search = page.get_by_role("searchbox", name="Search the fleet")
    expect(search).to_have_value("site=north")
    search.fill("site=north web")
    expect(names).to_have_text([re.compile("web-10")])
    search.fill("nowhere")
    page.get_by_role("button", name="Show all machines").click()
    expect(names).to_have_count(3)


def test_the_load_of_machines_in_sight_is_shown(page: Page, server: Server) -> None:
    log_in(page, server.http)
    row = page.get_by_role("row", name=re.compile("m1"))
    expect(row.locator(".c-cpu .number")).to_have_text(re.compile(r"^\d+ %$"), timeout=30_000)
    expect(row.locator(".c-memory .number")).to_have_text(re.compile(r"^\d+ %$"))


def test_the_keyboard_is_enough(page: Page, server: Server) -> None:
    log_in(page, server.http)
    expect(page.get_by_role("link", name="m1")).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Search the fleet")).to_be_focused()
    page.keyboard.type("m1")
    page.keyboard.press("Tab")
    for _ in range(20):
        if page.evaluate("document.activeElement.matches('.virtual-row a')"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="m1")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("v")
    expect(page.get_by_role("heading", name="VPN", exact=True)).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
