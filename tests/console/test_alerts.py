"""Alerts: rules, channels and silences are written, and what fires is shown, live."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from acceptance.house import House, Server
from harness.console import log_in

SLOW = 30_000


class Receiver:
    """A web server that takes webhooks; `status` is what it answers with."""

    def __init__(self) -> None:
        self.status = 204
        self.taken: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.taken.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def watched(house: House) -> Server:
    """A server of this test's own, with one machine."""
    server = house.server()
    house.agent(server.url).wait_for("enrolled")
    return server


def alerts(page: Page, tab: str = "") -> None:
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Alerts").click()
    if tab:
        page.get_by_role("navigation", name="About alerts").get_by_role("link", name=tab).click()


def badge(page: Page) -> Locator:
    return page.get_by_role("navigation", name="Main").locator(".badge")


def row(page: Page, text: str) -> Locator:
    return page.get_by_role("row").filter(has_text=text)


def rule(server: Server, name: str, **more: Any) -> None:
    """A rule that holds for a machine as soon as it is looked at."""
    server.rest().post("/alerts/rules", name=name, metric="memory", op="above", threshold=0, **{"for": 0, **more})


def test_a_rule_is_written_and_what_it_raises_is_counted_live_and_shown_at_the_machine(
    page: Page, watched: Server
) -> None:
    log_in(page, watched.http)
    alerts(page)
    expect(page.get_by_role("heading", name="Nothing fires")).to_be_visible()
    alerts(page, "Rules")
    page.get_by_role("button", name="Memory is short").click()
    dialog = page.get_by_role("dialog", name="Add a rule")
    expect(dialog.get_by_label("Name", exact=True)).to_have_value("Memory is short")
    dialog.get_by_label("Name", exact=True).fill("Memory is used")
    dialog.get_by_label("It is an alert, in %").fill("0")
    dialog.get_by_label("For how long").fill("0")
    dialog.get_by_label("Severity").select_option("critical")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(row(page, "Memory is used")).to_contain_text("Memory above 0 %")
    page.evaluate("globalThis.isSamePage = true")
    expect(badge(page)).to_have_text("1 firing", timeout=SLOW)
    alerts(page, "Alerts")
    fires = page.get_by_role("region", name="Alerts that fire")
    expect(fires).to_contain_text("critical")
    fires.get_by_role("link", name="m1").click()
    at_machine = page.get_by_role("region", name="Alerts that fire")
    expect(at_machine).to_contain_text("Memory is used")
    assert page.evaluate("globalThis.isSamePage")

    # Switched off, it is over: without a reload, here and in the navigation.
    alerts(page, "Rules")
    page.get_by_role("checkbox", name="Memory is used is on").uncheck()
    expect(badge(page)).to_have_count(0, timeout=SLOW)
    alerts(page, "Alerts")
    expect(page.get_by_role("region", name="Alerts that are over")).to_contain_text("Memory is used", timeout=SLOW)

    alerts(page, "Rules")
    page.get_by_role("button", name="Edit Memory is used").click()
    page.get_by_role("dialog").get_by_label("Only machines").fill("site=north")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(row(page, "Memory is used")).to_contain_text("site=north")
    expect(page.get_by_role("checkbox", name="Memory is used is on")).not_to_be_checked()
    page.get_by_role("button", name="Remove Memory is used").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_role("heading", name="No rule yet")).to_be_visible()


def test_what_is_wrong_is_said_beside_the_field_and_nothing_typed_is_lost(page: Page, watched: Server) -> None:
    rule(watched, "taken", enabled=False)
    log_in(page, watched.http)
    alerts(page, "Rules")
    page.get_by_role("button", name="Add a rule").click()
    form = page.get_by_role("form", name="Rule")
    form.get_by_label("Name", exact=True).fill("mine")
    form.get_by_label("It is an alert, in %").fill("50")
    form.get_by_label("It is over at").fill("60")
    form.get_by_role("button", name="Add", exact=True).click()
    clear = form.get_by_label("It is over at")
    expect(clear).to_have_attribute("aria-invalid", "true")
    expect(clear).to_be_focused()
    expect(clear).to_have_accessible_description(re.compile("must not be above"))
    expect(form.get_by_label("Name", exact=True)).to_have_value("mine")
    expect(clear).to_have_value("60")

    clear.fill("")
    form.get_by_label("Only machines").fill("north")
    form.get_by_role("button", name="Add", exact=True).click()
    expect(form.get_by_label("Only machines")).to_have_accessible_description("north is no label; write name=value")

    form.get_by_label("Only machines").fill("")
    form.get_by_label("Name", exact=True).fill("taken")
    form.get_by_role("button", name="Add", exact=True).click()
    expect(form.get_by_label("Name", exact=True)).to_have_accessible_description(re.compile("exists already"))


def test_a_channel_is_tested_and_what_came_of_it_is_said_beside_it(
    page: Page, watched: Server, receiver: Receiver
) -> None:
    log_in(page, watched.http)
    alerts(page, "Channels")
    page.get_by_role("button", name="Add a channel").click()
    form = page.get_by_role("form", name="Channel")
    form.get_by_label("Name", exact=True).fill("on call")
    form.get_by_label("URL").fill("http://user@127.0.0.1/")
    form.get_by_role("button", name="Add", exact=True).click()
    expect(form.get_by_label("URL")).to_have_accessible_description(re.compile("without a user"))
    form.get_by_label("URL").fill(receiver.url)
    form.get_by_role("button", name="Make one").click()
    expect(form.get_by_label("Secret")).to_have_value(re.compile("^whsec_"))
    form.get_by_role("button", name="Add", exact=True).click()
    channel = row(page, "on call")
    expect(channel).to_contain_text("signed")
    channel.get_by_role("button", name="Test on call").click()
    expect(channel.get_by_role("status")).to_have_text("It was taken.", timeout=SLOW)
    assert len(receiver.taken) == 1

    receiver.status = 500
    channel.get_by_role("button", name="Test on call").click()
    expect(channel.get_by_role("status")).to_contain_text("500", timeout=SLOW)

    page.get_by_role("button", name="Edit on call").click()
    form.get_by_label("take the secret away").check()
    form.get_by_role("button", name="Save").click()
    expect(channel).not_to_contain_text("signed")
    page.get_by_role("button", name="Remove on call").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_role("heading", name="No channel yet")).to_be_visible()


def test_an_alert_is_silenced_for_a_time_and_heard_again(page: Page, watched: Server) -> None:
    rule(watched, "used")
    log_in(page, watched.http, "op")
    expect(badge(page)).to_have_text("1 firing", timeout=SLOW)
    alerts(page)
    page.get_by_label("Silence used on m1").select_option("for 8 hours")
    expect(row(page, "used").get_by_role("link", name="silenced")).to_be_visible(timeout=SLOW)
    expect(badge(page)).to_have_count(0)
    row(page, "used").get_by_role("link", name="silenced").click()
    silence = row(page, "used").filter(has_text="m1")
    expect(silence).to_contain_text("op")
    silence.get_by_role("button", name="End it").click()
    expect(page.get_by_role("heading", name="Nothing is silenced")).to_be_visible()
    expect(badge(page)).to_have_text("1 firing", timeout=SLOW)


def test_alerts_are_silenced_before_any_fires(page: Page, watched: Server) -> None:
    log_in(page, watched.http, "op")
    alerts(page, "Silences")
    page.get_by_role("button", name="Silence alerts…").click()
    form = page.get_by_role("form", name="Silence")
    form.get_by_label("Machine", exact=True).fill("m9")
    form.get_by_label("Only machines").fill("north")
    form.get_by_role("button", name="Silence").click()
    expect(form.get_by_role("alert")).to_contain_text("north is no label")
    form.get_by_label("Only machines").fill("")
    form.get_by_role("button", name="Silence").click()
    expect(form.get_by_label("Machine", exact=True)).to_have_attribute("aria-invalid", "true")
    form.get_by_label("Machine", exact=True).fill("m1")
    form.get_by_label("For", exact=True).select_option("1 week")
    form.get_by_label("Why").fill("moving")
    form.get_by_role("button", name="Silence").click()
    silence = row(page, "moving")
    expect(silence).to_contain_text("every rule")
    expect(silence.get_by_role("link", name="m1")).to_be_visible()
    rule(watched, "used")
    alerts(page, "Alerts")
    expect(row(page, "used").get_by_role("link", name="silenced")).to_be_visible(timeout=SLOW)
    expect(badge(page)).to_have_count(0)


def test_a_viewer_sees_alerts_and_rules_and_changes_none(page: Page, watched: Server) -> None:
    rule(watched, "used")
    log_in(page, watched.http, "watch")
    expect(badge(page)).to_have_text("1 firing", timeout=SLOW)
    alerts(page)
    expect(row(page, "used")).to_be_visible()
    expect(page.get_by_label("Silence used on m1")).to_have_count(0)
    tabs = page.get_by_role("navigation", name="About alerts").get_by_role("link")
    assert tabs.all_inner_texts() == ["Alerts", "Rules", "Silences"]
    alerts(page, "Rules")
    expect(page.get_by_role("checkbox", name="used is on")).to_be_disabled()
    expect(page.get_by_role("button", name="Add a rule")).to_have_count(0)
