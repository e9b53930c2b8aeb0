"""What is done to a machine as a whole: its name, its labels, the end of its access."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from acceptance.house import House
from harness.console import log_in


@pytest.fixture
def machines(page: Page, house: House) -> Page:
    """The fleet of `web-1` and `web-2`, before an admin."""
    server = house.server()
    for name, site in (("web-1", "north"), ("web-2", "south")):
        house.agent(server.url, f"--label=site={site}", name=name).wait_for("enrolled")
    log_in(page, server.http)
    return page


def open_machine(page: Page, name: str) -> None:
    page.get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()


def to_fleet(page: Page) -> None:
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Fleet").click()


def test_a_machine_is_renamed_and_given_back_its_own_name(machines: Page) -> None:
    open_machine(machines, "web-1")
    machines.get_by_role("button", name="Rename").click()
    dialog = machines.get_by_role("dialog", name="Rename web-1")
    dialog.get_by_label("Name").fill("with/slash")
    dialog.get_by_role("button", name="Rename").click()
    expect(dialog.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Name").fill("front door")
    dialog.get_by_role("button", name="Rename").click()
    expect(machines.get_by_role("heading", name="front door", level=1)).to_be_visible()
    machines.get_by_role("button", name="Rename").click()
    machines.get_by_role("dialog").get_by_label("Name").fill("")
    machines.get_by_role("dialog").get_by_role("button", name="Rename").click()
    expect(machines.get_by_role("heading", name="web-1", level=1)).to_be_visible()


def test_a_name_that_is_given_already_is_refused_beside_the_field(machines: Page) -> None:
    open_machine(machines, "web-1")
    machines.get_by_role("button", name="Rename").click()
    machines.get_by_role("dialog").get_by_label("Name").fill("front")
    machines.get_by_role("dialog").get_by_role("button", name="Rename").click()
    expect(machines.get_by_role("heading", name="front", level=1)).to_be_visible()
    to_fleet(machines)
    open_machine(machines, "web-2")
    machines.get_by_role("button", name="Rename").click()
    name = machines.get_by_role("dialog").get_by_label("Name")
    name.fill("front")
    machines.get_by_role("dialog").get_by_role("button", name="Rename").click()
    expect(name).to_have_accessible_description(re.compile("already"))


def test_labels_are_given_sought_ordered_and_taken_away(machines: Page) -> None:
    open_machine(machines, "web-1")
    machines.get_by_role("button", name="Labels").click()
    dialog = machines.get_by_role("dialog", name="Labels of web-1")
    dialog.get_by_label("Labels").fill("tier=1")
    dialog.get_by_label("Labels").press("Enter")
    dialog.get_by_label("Labels").fill("site=east")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    expect(machines.get_by_role("button", name="site=north")).to_have_count(0)

    machines.get_by_role("button", name="tier=1").click()
    links = machines.get_by_role("table", name="Machines").get_by_role("link")
    expect(links).to_have_text([re.compile("web-1")])
    search = machines.get_by_role("searchbox", name="Search the fleet")
    expect(search).to_have_value("tier=1")
    chip = machines.get_by_role("table", name="Machines").get_by_role("button", name="tier=1")
    expect(chip).to_have_attribute("aria-pressed", "true")
    chip.click()
    expect(search).to_have_value("")
    machines.get_by_role("button", name="Labels", exact=True).click()
    expect(links).to_have_text([re.compile("web-1"), re.compile("web-2")])
    machines.get_by_role("button", name="Labels", exact=True).click()
    expect(links).to_have_text([re.compile("web-2"), re.compile("web-1")])

    open_machine(machines, "web-1")
    machines.get_by_role("button", name="Labels").click()
    dialog.get_by_role("button", name="Take away site=east").click()
    dialog.get_by_role("button", name="Save").click()
    expect(machines.get_by_role("button", name="site=north")).to_be_visible()


def test_revoking_and_removing_ask_by_name(machines: Page) -> None:
    open_machine(machines, "web-1")
    machines.get_by_role("button", name="Revoke").click()
    asked = machines.get_by_role("dialog", name="Revoke web-1?")
    asked.get_by_role("button", name="Cancel").click()
    expect(machines.get_by_text("online", exact=True)).to_be_visible()
    machines.get_by_role("button", name="Revoke").click()
    asked.get_by_role("button", name="Revoke web-1").click()
    expect(machines.get_by_text(re.compile("^revoked, seen"))).to_be_visible()
    expect(machines.get_by_role("button", name="Revoke")).to_have_count(0)

    to_fleet(machines)
    links = machines.get_by_role("table", name="Machines").get_by_role("link")
    expect(machines.get_by_role("link", name="web-1 revoked")).to_be_visible()
    machines.get_by_role("button", name="Revoked", exact=True).click()
    expect(links).to_have_text([re.compile("web-1")])
    open_machine(machines, "web-1")
    machines.get_by_role("button", name="Remove").click()
    machines.get_by_role("dialog", name="Remove web-1?").get_by_role("button", name="Remove web-1").click()
    machines.get_by_role("button", name="Show all machines").click()
    expect(links).to_have_text([re.compile("web-2")])
