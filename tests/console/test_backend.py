"""One machine: its load, what runs on it, and its place in the VPN."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from acceptance.house import House, Server, until
from harness.console import log_in

SLOW = 30_000


@pytest.fixture
def machine(page: Page, server: Server) -> Page:
    """A page that shows `m1`, logged in as an operator."""
    log_in(page, server.http, "op")
    page.get_by_role("link", name="m1").click()
    expect(page.get_by_role("heading", name="m1")).to_be_visible()
    return page


def tab(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="About m1").get_by_role("link", name=name).click()


def run(page: Page, command: str, **options: bool) -> None:
    tab(page, "Runs")
    page.get_by_role("textbox", name="Command").fill(command)
    if options.get("shell"):
        page.get_by_label("by a shell").check()
    if options.get("stdin"):
        page.get_by_label("keep its input open").check()
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("log", name="Output")).to_be_visible(timeout=SLOW)


def test_its_load_is_plotted(machine: Page) -> None:
    expect(machine.get_by_role("img", name=re.compile(r"^CPU: .*\d %"))).to_be_visible(timeout=SLOW)
    expect(machine.get_by_role("img", name=re.compile(r"^Memory: used \d"))).to_be_visible()
    expect(machine.locator(".plot canvas")).to_have_count(2)
    expect(machine.get_by_text(re.compile(r"^[\d.]+ [kMGT]B of [\d.]+ [kMGT]B$")).first).to_be_visible()


def test_a_command_is_run_and_what_it_writes_appears_while_it_runs(machine: Page) -> None:
    run(machine, 'echo begin; read line; echo "got $line"; echo aside >&2', shell=True, stdin=True)
    output = machine.get_by_role("log", name="Output")
    expect(output).to_have_text("begin\n", timeout=SLOW)
    expect(machine.get_by_text("running", exact=True)).to_be_visible()
    machine.get_by_role("textbox", name="A line of input").fill("my word")
    machine.keyboard.press("Enter")
    expect(output).to_contain_text("got my word\n", timeout=SLOW)
    expect(output.locator(".stderr")).to_have_text("aside\n")
    expect(machine.get_by_text("done", exact=True)).to_be_visible(timeout=SLOW)

    tab(machine, "Runs")
    row = machine.get_by_role("row", name=re.compile("got"))
    expect(row).to_contain_text("done")
    row.get_by_role("link").click()
    expect(machine.get_by_role("log", name="Output")).to_contain_text("got my word", timeout=SLOW)


def test_a_command_is_stopped_after_asking(machine: Page) -> None:
    run(machine, "sleep 600")
    expect(machine.get_by_text("running", exact=True)).to_be_visible(timeout=SLOW)
    machine.get_by_role("button", name="Stop").click()
    dialog = machine.get_by_role("dialog", name="Stop sleep 600?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(machine.get_by_text("running", exact=True)).to_be_visible()
    machine.get_by_role("button", name="Stop").click()
    dialog.get_by_role("button", name="Stop").click()
    expect(machine.get_by_text("SIGTERM", exact=True)).to_be_visible(timeout=SLOW)


def test_a_process_is_killed_from_the_list(machine: Page) -> None:
    run(machine, "sleep 601")
    tab(machine, "Processes")
    row = machine.get_by_role("row", name=re.compile("sleep"))
    expect(row).to_have_count(1, timeout=SLOW)
    row.get_by_role("button", name="Kill").click()
    machine.get_by_role("dialog").get_by_role("button", name="Kill").click()
    expect(machine.get_by_role("heading", name="Quix runs nothing here now")).to_be_visible(timeout=SLOW)


def test_why_a_command_cannot_start_is_said(machine: Page) -> None:
    tab(machine, "Runs")
    machine.get_by_role("textbox", name="Command").fill("no-such-program")
    machine.get_by_role("button", name="Run", exact=True).click()
    expect(machine.get_by_role("alert")).to_contain_text("no-such-program", timeout=SLOW)
    machine.get_by_role("textbox", name="Command").fill("echo 'open")
    machine.get_by_role("button", name="Run", exact=True).click()
    expect(machine.get_by_role("alert")).to_have_text("The ' is not closed.")


def test_a_command_that_could_not_start_is_started_once_that_is_mended(machine: Page, server: Server) -> None:
    tab(machine, "Runs")
    machine.get_by_role("textbox", name="Command").fill("./tool")
    machine.get_by_role("button", name="Run", exact=True).click()
    expect(machine.get_by_role("alert")).to_contain_text("./tool", timeout=SLOW)
    rest = server.rest()
    script = r"printf '#!/bin/sh\necho mended\n' > tool && chmod +x tool"
    run = rest.post(f"/backends/{rest.online()[0]}/processes", cmd=["sh", "-c", script])["run_id"]
    path = f"/backends/{rest.online()[0]}/runs/{run}"
    until(lambda: rest.get(path)["state"] == "ended", "the tool is there")
    machine.get_by_role("button", name="Run", exact=True).click()
    expect(machine.get_by_role("log", name="Output")).to_have_text("mended\n", timeout=SLOW)


def test_output_goes_on_after_the_server_was_restarted_and_before_the_machine_is_back(page: Page, house: House) -> None:
    server = house.server()
    agent = house.agent(server.url)
    server.rest().wait_online()
    log_in(page, server.http, "op")
    page.get_by_role("link", name="m1").click()
    run(page, 'echo begin; read line; echo "got $line"', shell=True, stdin=True)
    output = page.get_by_role("log", name="Output")
    expect(output).to_have_text("begin\n", timeout=SLOW)
    agent.terminate()
    server.terminate()
    with page.expect_response(lambda answer: "/output/events" in answer.url and answer.status == 409, timeout=SLOW):
        server = house.again(server)
    house.agent(server.url)
    server.rest().wait_online()
    page.get_by_role("textbox", name="A line of input").fill("my word")
    page.keyboard.press("Enter")
    expect(output).to_contain_text("got my word\n", timeout=SLOW)


def test_colours_are_shown_and_what_looks_like_html_is_text(machine: Page) -> None:
    run(machine, r"printf '\033[31mred\033[0m <b>bold</b>'")
    output = machine.get_by_role("log", name="Output")
    expect(output).to_have_text("red <b>bold</b>", timeout=SLOW)
    expect(output.locator(".ansi-1")).to_have_text("red")


def test_it_is_given_a_place_in_the_vpn_which_is_taken_away_again(machine: Page) -> None:
    tab(machine, "VPN")
    machine.get_by_role("button", name="Give m1 an address").click()
    configuration = machine.get_by_role("region", name="VPN configuration")
    expect(configuration).to_contain_text("[Interface]", timeout=SLOW)
    machine.get_by_role("navigation", name="Main").get_by_role("link", name="VPN").click()
    row = machine.get_by_role("row", name=re.compile("m1"))
    expect(row).to_contain_text("handed out", timeout=SLOW)
    row.get_by_role("button", name="Revoke").click()
    machine.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(row).to_contain_text("revoked", timeout=SLOW)
    row.get_by_role("button", name="Restore").click()
    expect(row.get_by_role("button", name="Revoke")).to_be_visible(timeout=SLOW)
