"""Logging in and out with a browser."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from acceptance.house import Server
from harness.console import log_in

FIRST_LOAD = 150_000
"""Bytes over the wire until the login shows, at most."""


def test_a_wrong_password_is_said_to_be_wrong(page: Page, server: Server) -> None:
    page.goto(server.http)
    page.get_by_label("User", exact=True).fill("root")
    page.get_by_label("Password").fill("not the password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("User or password is wrong.")


def test_logging_in_shows_the_fleet_and_a_reload_keeps_the_login(page: Page, server: Server) -> None:
    log_in(page, server.http)
    expect(page.get_by_role("heading", name="Fleet")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Fleet")).to_be_visible()


def test_no_script_can_read_the_token(page: Page, server: Server) -> None:
    log_in(page, server.http)
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert page.evaluate("document.cookie") == ""
    assert cookie["value"] not in page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")


def test_logging_out_ends_the_login(page: Page, server: Server) -> None:
    log_in(page, server.http)
    (cookie,) = page.context.cookies()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    assert page.context.cookies() == []
    page.context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": server.http}])
    page.goto(server.http)
    expect(page.get_by_role("button", name="Log in")).to_be_visible()


def test_a_viewer_sees_nothing_that_a_viewer_may_not_do(page: Page, server: Server) -> None:
    log_in(page, server.http, "watch")
    expect(page.get_by_role("link", name="m1")).to_be_visible()
    expect(page.get_by_role("button", name="Add a machine")).to_have_count(0)
    places = page.get_by_role("navigation", name="Main").get_by_role("link")
    assert places.all_inner_texts() == ["Fleet", "Alerts", "VPN", "Events", "Tokens"]


def test_the_first_load_is_small(page: Page, server: Server) -> None:
    sizes: list[int] = []
    page.on("response", lambda answer: sizes.append(int(answer.headers.get("content-length", 0))))
    page.goto(server.http)
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    assert 10_000 < sum(sizes) < FIRST_LOAD, sizes


def test_what_is_not_from_the_server_does_not_run(page: Page, server: Server) -> None:
    page.goto(server.http)
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    injected = """() => {
        const script = document.createElement("script");
        script.textContent = "globalThis.wasRun = true";
        document.body.append(script);
        const image = document.createElement("img");
        image.setAttribute("onerror", "globalThis.wasRun = true");
        image.src = "data:image/png;base64,broken";
        document.body.append(image);
        setTimeout(() => new Function("globalThis.wasRun = true")());
        return new Promise((resolve) => setTimeout(() => resolve(globalThis.wasRun), 500));
    }"""
    other = page.context.new_page()  # whose console is not looked at: violations are what is wanted here
    other.goto(server.http)
    assert other.evaluate(injected) is None
